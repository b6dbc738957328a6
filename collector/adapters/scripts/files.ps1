# Describes what is at $Arguments.path, or, if $Arguments.what is 'children', what is directly in it.
Set-StrictMode -Version 2.0
try {
    if ($Arguments.what -eq 'children') {
        $items = (New-Object IO.DirectoryInfo $Arguments.path).GetFileSystemInfos()
    }
    elseif ([IO.File]::GetAttributes($Arguments.path) -band [IO.FileAttributes]::Directory) {
        $items = New-Object IO.DirectoryInfo $Arguments.path
    }
    else {
        $items = New-Object IO.FileInfo $Arguments.path
    }
    $entries = @(foreach ($item in $items) {
        $folder = [bool]($item.Attributes -band [IO.FileAttributes]::Directory)
        @{
            name     = $item.Name
            folder   = $folder
            size     = $(if ($folder) { 0 } else { $item.Length })
            modified = $item.LastWriteTimeUtc.ToFileTimeUtc()
        }
    })
    $answer = @{ entries = $entries }
}
catch [IO.FileNotFoundException], [IO.DirectoryNotFoundException] {
    $answer = @{ failed = 'absent'; words = "$_" }
}
catch [UnauthorizedAccessException] {
    $answer = @{ failed = 'denied'; words = "$_" }
}
ConvertTo-Json -InputObject $answer -Depth 3 -Compress
