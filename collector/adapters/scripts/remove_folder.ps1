# Removes the folder of ours that is named $Arguments.name, with all that we put into it.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "hang-collector\$($Arguments.name)"
if ([IO.Directory]::Exists($folder)) {
    # `make_folder` makes none in such a place, and a link leads to what is not ours.
    $above = [IO.File]::GetAttributes([IO.Path]::GetDirectoryName($folder))
    if ($above -band [IO.FileAttributes]::ReparsePoint) { throw "$folder lies behind a link that is not ours" }
    [IO.Directory]::Delete($folder, $true)
}
ConvertTo-Json -InputObject @{ removed = $true } -Compress
