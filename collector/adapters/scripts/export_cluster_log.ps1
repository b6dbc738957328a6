# Has the cluster service write down, in UTC, what this node did within the last $Arguments.minutes. It always writes to
# its own folder of reports, where it replaces its last report. To copy that elsewhere it would need a second login.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
try {
    $service = Get-Item -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Services\ClusSvc' -ErrorAction SilentlyContinue
    $able = Get-Command -Name Get-ClusterLog -ErrorAction SilentlyContinue
    # 4 is disabled: what the service is until the host joins a cluster.
    if ($null -eq $service -or $service.GetValue('Start') -eq 4 -or $null -eq $able) {
        $answer = @{ failed = 'absent'; words = 'the host is no node of a cluster' }
    }
    else {
        $began = [datetime]::UtcNow
        [void](Get-ClusterLog -Node $env:COMPUTERNAME -TimeSpan ([uint32]$Arguments.minutes))
        $file = New-Object IO.FileInfo "$env:SystemRoot\Cluster\Reports\Cluster.log"
        if (-not $file.Exists -or $file.LastWriteTimeUtc -lt $began) { throw "$($file.FullName) was not written" }
        $answer = @{
            path     = $file.FullName
            size     = $file.Length
            modified = $file.LastWriteTimeUtc.ToFileTimeUtc()
        }
    }
}
catch {
    $answer = @{ failed = 'error'; words = "$_" }
}
ConvertTo-Json -InputObject $answer -Compress
