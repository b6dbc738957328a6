# Starts the live dump named $Arguments.name, once: whoever makes the file `started` starts it.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "hang-collector\$($Arguments.name)"
try {
    [IO.File]::Open("$folder\started", 'CreateNew').Dispose()
    $mine = $true
}
catch [IO.IOException] {
    $mine = $false
}
if ($mine) {
    if ($Arguments.tools -eq 'ours') {
        $lines = @(
            "`"$folder\procdump64.exe`" -accepteula -ma $($Arguments.process) `"$folder\process.dmp`"",
            "`"$folder\livekd64.exe`" -accepteula -ml -o `"$folder\kernel.dmp`""
        )
    }
    else {
        # Windows Server 2016 and Windows 10 can do it by themselves, as far as their storage service lives.
        $block = '$s = Get-StorageSubSystem | Select-Object -First 1; ' +
            'Get-StorageDiagnosticInfo -StorageSubSystemUniqueId $s.UniqueId -IncludeLiveDump -DestinationPath '
        $text = [Text.Encoding]::Unicode.GetBytes("$block'$folder'")
        $lines = @("powershell.exe -NoProfile -NonInteractive -EncodedCommand $([Convert]::ToBase64String($text))")
    }
    $number = 0
    foreach ($line in $lines) {
        $number += 1
        # Not a child of this shell, which ends, and all of its children with it.
        $shell = "cmd.exe /d /s /c `"$line > `"$folder\$number.log`" 2>&1`""
        $made = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{ CommandLine = $shell }
        if ($made.ReturnValue -ne 0) { throw "Win32_Process.Create returned $($made.ReturnValue)" }
    }
}
ConvertTo-Json -InputObject @{ mine = $mine } -Compress
