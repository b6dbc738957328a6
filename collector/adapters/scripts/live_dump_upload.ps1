# Appends the Base64 in $Arguments.data to a tool of the live dump named $Arguments.name, at $Arguments.offset.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "hang-collector\$($Arguments.name)"
$file = [IO.File]::Open("$folder\$($Arguments.tool)", 'OpenOrCreate', 'Write', 'None')
try {
    [void]$file.Seek([long]$Arguments.offset, 'Begin')
    $data = [Convert]::FromBase64String($Arguments.data)
    $file.Write($data, 0, $data.Length)
    $answer = @{ size = $file.Length }
}
finally {
    $file.Dispose()
}
ConvertTo-Json -InputObject $answer -Compress
