$ProgressPreference = 'SilentlyContinue'
$ErrorActionPreference = 'Stop'
try {
    [Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
    $sent = (@($input) -join '') -replace '[^A-Za-z0-9+/=]', ''
    $call = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($sent)) | ConvertFrom-Json
    $Arguments = $call.arguments
    & ([ScriptBlock]::Create($call.script)) |
        ForEach-Object { if ($_ -is [string]) { [Console]::Out.WriteLine($_) } else { $_ } }
}
catch {
    [Console]::Error.WriteLine("$_")
    exit 1
}
exit 0
