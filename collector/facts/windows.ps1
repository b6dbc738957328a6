# What a Windows host says of its crash dumps. Reads only, and nothing that Windows translates: registry values,
# numbers of CIM classes, event records by their id and the place of each value.
#
# $Arguments.Depth    few: what a run needs of a host that is barely alive; all: what an audit judges.
# $Arguments.Seconds  after so many, what has not been asked yet is left out.
#
# The answer is one line of JSON in ASCII. A fact that could not be read is missing with the category and the
# id of its error, which are the same in every language.

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$Facts = @{}
$Missing = @{}
$Epoch = [datetime] '1970-01-01'
$Clock = [Diagnostics.Stopwatch]::StartNew()
$Budget = [int] $Arguments.Seconds
$CrashControl = 'SYSTEM\CurrentControlSet\Control\CrashControl'

function Get-UnixTime {
    param([datetime] $Time)
    [int64] [math]::Floor(($Time.ToUniversalTime() - $Epoch).TotalSeconds)
}

function Get-Patience {
    [int] [math]::Max(1, [math]::Min(10, $Budget - $Clock.Elapsed.TotalSeconds))
}

function Get-Instance {
    param([string] $Class, [string] $Namespace = 'root\cimv2', [string] $Filter = '')
    $query = @{ ClassName = $Class; Namespace = $Namespace; OperationTimeoutSec = Get-Patience }
    if ($Filter) { $query['Filter'] = $Filter }
    Get-CimInstance @query | Select-Object -First 500
}

# By this way no display type that a module has loaded stands between us and the number.
function Get-Property {
    param($Instance, [string] $Name)
    if ($null -eq $Instance) { return }
    $property = $Instance.CimInstanceProperties[$Name]
    if ($null -eq $property) { return }
    if ($property.Value -is [datetime]) { Get-UnixTime $property.Value } else { $property.Value }
}

function Get-Record {
    param([string] $Provider, [int[]] $Ids)
    $filter = @{ LogName = 'System'; ProviderName = $Provider; Id = $Ids }
    Get-WinEvent -FilterHashtable $filter -MaxEvents 20 | ForEach-Object {
        $values = @($_.Properties | Select-Object -First 3 | ForEach-Object { [string] $_.Value })
        @{ id = $_.Id; time = Get-UnixTime $_.TimeCreated; values = $values }
    }
}

# Runs one block that gives some facts; whatever fails in it costs these facts and no others.
function Read-Group {
    param([string[]] $Names, [scriptblock] $Block)
    $why = 'OperationTimeout'
    try {
        if ($Clock.Elapsed.TotalSeconds -lt $Budget) {
            . $Block
            return
        }
    } catch {
        $why = '{0} {1}' -f $_.CategoryInfo.Category, $_.FullyQualifiedErrorId
    }
    foreach ($name in $Names) { $Missing[$name] = $why }
}

function Read-Fact {
    param([string] $Name, [scriptblock] $Query)
    Read-Group @($Name) { $Facts[$Name] = @(& $Query) }
}

function Read-Registry {
    param([string] $Key, [hashtable] $Values)
    Read-Group @($Values.Keys) {
        $item = Get-Item -LiteralPath "HKLM:\$Key"
        foreach ($name in @($Values.Keys)) { $Facts[$name] = $item.GetValue($Values[$name]) }
    }
}

function Read-Instance {
    param([string] $Class, [hashtable] $Properties)
    Read-Group @($Properties.Keys) {
        $instance = Get-Instance $Class
        foreach ($name in @($Properties.Keys)) { $Facts[$name] = Get-Property $instance $Properties[$name] }
    }
}

$Facts['clock'] = Get-UnixTime ([datetime]::UtcNow)
$Facts['system_drive'] = $env:SystemDrive

# The two times are of one instant, so that a clock that was set since the boot does not count.
Read-Group @('uptime', 'boot_time', 'os_version', 'product_type') {
    $system = Get-Instance 'Win32_OperatingSystem'
    $Facts['boot_time'] = Get-Property $system 'LastBootUpTime'
    $Facts['uptime'] = (Get-Property $system 'LocalDateTime') - $Facts['boot_time']
    $Facts['os_version'] = Get-Property $system 'Version'
    $Facts['product_type'] = Get-Property $system 'ProductType'
}
Read-Registry $CrashControl @{
    crash_dump_enabled = 'CrashDumpEnabled'
    filter_pages = 'FilterPages'
    dump_file = 'DumpFile'
    overwrite = 'Overwrite'
    auto_reboot = 'AutoReboot'
    log_event = 'LogEvent'
    send_alert = 'SendAlert'
    minidump_dir = 'MinidumpDir'
    always_keep_memory_dump = 'AlwaysKeepMemoryDump'
    dedicated_dump_file = 'DedicatedDumpFile'
    dump_file_size = 'DumpFileSize'
    ignore_page_file_size = 'IgnorePagefileSize'
    nmi_crash_dump = 'NMICrashDump'
    last_crash_time = 'LastCrashTime'
    dump_filters = 'DumpFilters'
    dump_encryption = 'DumpEncryptionEnabled'
}
Read-Registry "$CrashControl\ForceDumpsDisabled" @{ guarded_host = 'GuardedHost' }
# A volatile key: it is there when this boot followed a crash whose dump is being brought to its place.
Read-Registry "$CrashControl\MachineCrash" @{ crash_copy = 'TempDestination' }
Read-Registry 'SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management' @{
    paging_files = 'PagingFiles'
    existing_page_files = 'ExistingPageFiles'
}
Read-Instance 'Win32_ComputerSystem' @{
    ram = 'TotalPhysicalMemory'
    page_file_automatic = 'AutomaticManagedPagefile'
    domain_role = 'DomainRole'
    manufacturer = 'Manufacturer'
    model = 'Model'
    hypervisor_present = 'HypervisorPresent'
}
Read-Fact 'page_files' {
    Get-Instance 'Win32_PageFileUsage' | ForEach-Object {
        @{ path = $_.Name; allocated_mb = $_.AllocatedBaseSize; temporary = $_.TempPageFile }
    }
}
Read-Fact 'dump_writer' {
    Get-Instance 'Win32_Process' -Filter "Name='savedump.exe' OR Name='WerFault.exe'" | Where-Object {
        $_.Name -eq 'savedump.exe' -or $_.CommandLine -like '* -k*'
    } | ForEach-Object { $_.Name }
}

if ($Arguments.Depth -eq 'all') {
    Read-Group @('administrator') {
        $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
        $role = [Security.Principal.WindowsBuiltInRole]::Administrator
        $Facts['administrator'] = ([Security.Principal.WindowsPrincipal] $identity).IsInRole($role)
    }
    Read-Registry 'SOFTWARE\Microsoft\Windows NT\CurrentVersion' @{
        edition = 'EditionID'
        installation = 'InstallationType'
        revision = 'UBR'
    }
    Read-Registry "$CrashControl\EncryptionCertificates\Certificate.1" @{ dump_certificate = 'Thumbprint' }
    Read-Registry "$CrashControl\LiveKernelReports" @{ live_kernel_reports = 'LiveKernelReportsPath' }
    $services = 'SYSTEM\CurrentControlSet\Services'
    Read-Registry "$services\i8042prt\Parameters" @{ keyboard_ps2 = 'CrashOnCtrlScroll' }
    Read-Registry "$services\kbdhid\Parameters" @{ keyboard_usb = 'CrashOnCtrlScroll' }
    Read-Registry "$services\hyperkbd\Parameters" @{ keyboard_hyperv = 'CrashOnCtrlScroll' }
    Read-Registry "$services\i8042prt\crashdump" @{ keyboard_ps2_keys = 'Dump1Keys' }
    Read-Registry "$services\kbdhid\crashdump" @{ keyboard_usb_keys = 'Dump1Keys' }

    Read-Fact 'ram_installed' {
        (Get-Instance 'Win32_PhysicalMemory' | Measure-Object -Property 'Capacity' -Sum).Sum
    }
    Read-Fact 'volumes' {
        Get-Instance 'Win32_Volume' | ForEach-Object {
            @{ path = $_.Name; kind = $_.DriveType; free = $_.FreeSpace; size = $_.Capacity; boot = $_.BootVolume }
        }
    }
    Read-Fact 'bitlocker' {
        $namespace = 'root\cimv2\Security\MicrosoftVolumeEncryption'
        Get-Instance 'Win32_EncryptableVolume' $namespace | ForEach-Object {
            @{ drive = $_.DriveLetter; protection = Get-Property $_ 'ProtectionStatus' }
        }
    }
    Read-Fact 'boot_disks' {
        Get-Instance 'MSFT_Disk' 'root\Microsoft\Windows\Storage' 'IsBoot=TRUE' | ForEach-Object {
            @{ bus = Get-Property $_ 'BusType'; model = Get-Property $_ 'Model' }
        }
    }
    # The device classes of SCSI adapters and of IDE and SATA controllers.
    Read-Fact 'storage_drivers' {
        $scsi = '{4d36e97b-e325-11ce-bfc1-08002be10318}'
        $ata = '{4d36e96a-e325-11ce-bfc1-08002be10318}'
        Get-Instance 'Win32_PnPEntity' -Filter "ClassGuid='$scsi' OR ClassGuid='$ata'" |
            ForEach-Object { $_.Service }
    }
    Read-Fact 'services' {
        $named = "Name='ClusSvc' OR Name='vmms' OR Name='vmicheartbeat' OR Name='VMTools' OR Name='ipmidrv'"
        $agents = "Name LIKE 'hpqilo%' OR Name LIKE 'cpqasm%' OR Name LIKE 'dcdbas%'"
        Get-Instance 'Win32_BaseService' -Filter "Started=TRUE AND ($named OR $agents)" |
            ForEach-Object { $_.Name }
    }
    Read-Fact 'cluster_vms' {
        Get-Instance 'MSCluster_Resource' 'root\MSCluster' "Type='Virtual Machine'" | ForEach-Object {
            @{ name = $_.Name; check_heartbeat = Get-Property $_.PrivateProperties 'CheckHeartbeat' }
        }
    }
    Read-Fact 'dump_events' { Get-Record 'volmgr' (44, 45, 46, 47, 48, 49, 156, 161, 162, 163, 164) }
    Read-Fact 'bug_checks' { Get-Record 'Microsoft-Windows-WER-SystemErrorReporting' (1001) }
    Read-Fact 'restarts' { Get-Record 'Microsoft-Windows-Kernel-Power' (41) }
    # Only on drives: a share that is gone would hold the script up.
    Read-Fact 'dump_files' {
        foreach ($path in @($Facts['dump_file'], $Facts['dedicated_dump_file'])) {
            if ($path -match '^[A-Za-z]:\\' -and (Test-Path -LiteralPath $path)) {
                $file = Get-Item -LiteralPath $path -Force
                @{ path = $file.FullName; bytes = $file.Length; modified = Get-UnixTime $file.LastWriteTimeUtc }
            }
        }
    }
}

$answer = ConvertTo-Json -InputObject @{ facts = $Facts; missing = $Missing } -Depth 6 -Compress
[regex]::Replace($answer, '[^ -~]', { '\u{0:x4}' -f [int] [char] $args[0].Value })
