# Removes the folder of ours that is named $Arguments.name, with all that we put into it.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "hang-collector\$($Arguments.name)"
if ([IO.Directory]::Exists($folder)) { [IO.Directory]::Delete($folder, $true) }
ConvertTo-Json -InputObject @{ removed = $true } -Compress
