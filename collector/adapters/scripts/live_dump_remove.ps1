# Removes the live dump named $Arguments.name, the tools that were uploaded for it included.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "hang-collector\$($Arguments.name)"
if ([IO.Directory]::Exists($folder)) { [IO.Directory]::Delete($folder, $true) }
ConvertTo-Json -InputObject @{ removed = $true } -Compress
