# Reads up to $Arguments.count bytes at $Arguments.offset: a line of Base64, then the answer.
Set-StrictMode -Version 2.0
try {
    $file = [IO.File]::Open($Arguments.path, 'Open', 'Read', 'ReadWrite, Delete')
    try {
        [void]$file.Seek([long]$Arguments.offset, 'Begin')
        $buffer = New-Object byte[] ([int]$Arguments.count)
        $filled = 0
        do {
            $got = $file.Read($buffer, $filled, $buffer.Length - $filled)
            $filled += $got
        } while ($got -gt 0 -and $filled -lt $buffer.Length)
    }
    finally {
        $file.Dispose()
    }
    [Convert]::ToBase64String($buffer, 0, $filled)
    $answer = @{ bytes = $filled }
}
catch [IO.FileNotFoundException], [IO.DirectoryNotFoundException] {
    $answer = @{ failed = 'absent'; words = "$_" }
}
catch [UnauthorizedAccessException] {
    $answer = @{ failed = 'denied'; words = "$_" }
}
ConvertTo-Json -InputObject $answer -Compress
