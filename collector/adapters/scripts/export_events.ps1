# Exports the events of the log $Arguments.log that are younger than $Arguments.seconds, by this host's own clock,
# to $Arguments.file in the folder named $Arguments.name. The same call (EvtExportLog) as `wevtutil epl`.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "hang-collector\$($Arguments.name)"
$target = Join-Path $folder $Arguments.file
$since = [datetime]::UtcNow.AddSeconds(-[long]$Arguments.seconds)
$since = $since.ToString('yyyy-MM-ddTHH:mm:ss.000Z', [Globalization.CultureInfo]::InvariantCulture)
try {
    [IO.File]::Delete($target)  # one that was cut short; the export takes no file that exists
    $session = [Diagnostics.Eventing.Reader.EventLogSession]::GlobalSession
    $session.ExportLog($Arguments.log, 'LogName', "*[System[TimeCreated[@SystemTime>='$since']]]", $target)
    $file = New-Object IO.FileInfo $target
    $answer = @{
        since    = $since
        path     = $file.FullName
        size     = $file.Length
        modified = $file.LastWriteTimeUtc.ToFileTimeUtc()
    }
}
catch [Diagnostics.Eventing.Reader.EventLogNotFoundException] {
    $answer = @{ failed = 'absent'; words = "$_" }
}
catch {
    $answer = @{ failed = 'error'; words = "$_" }
}
ConvertTo-Json -InputObject $answer -Compress
