# What a live dump would cost, and what has become of the one named $Arguments.name.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "hang-collector\$($Arguments.name)"
$system = Get-CimInstance -ClassName Win32_OperatingSystem
$memory = Get-CimInstance -ClassName Win32_PerfRawData_PerfOS_Memory
$volume = New-Object IO.DriveInfo ([IO.Path]::GetPathRoot($folder))
$process = @(Get-Process -Name $Arguments.process -ErrorAction SilentlyContinue)
$answer = @{
    folder   = $folder
    build    = [int]$system.BuildNumber
    free     = $volume.AvailableFreeSpace
    kernel   = $memory.PoolNonpagedBytes + $memory.PoolPagedBytes + $memory.CacheBytes
    process  = [long]($process | Measure-Object -Property PrivateMemorySize64 -Sum).Sum
    found    = $process.Count
    started  = [IO.File]::Exists("$folder\started")
    running  = 0
    files    = @()
    words    = ''
}
if ($answer.started) {
    $shells = Get-CimInstance -ClassName Win32_Process -Filter "Name='cmd.exe'"
    $answer.running = @($shells | Where-Object { "$($_.CommandLine)".Contains($folder) }).Count
    $items = Get-ChildItem -LiteralPath $folder -Recurse | Where-Object { -not $_.PSIsContainer }
    $answer.files = @($items | Where-Object { $_.Extension -in '.dmp', '.zip', '.etl' } | ForEach-Object {
        @{ path = $_.FullName; size = $_.Length; modified = $_.LastWriteTimeUtc.ToFileTimeUtc() }
    })
    $logs = $items | Where-Object { $_.Extension -eq '.log' }
    $answer.words = (@($logs | ForEach-Object { Get-Content -LiteralPath $_.FullName }) -join ' ')
}
ConvertTo-Json -InputObject $answer -Depth 3 -Compress
