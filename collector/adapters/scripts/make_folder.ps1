# Makes the folder named $Arguments.name for administrators and the system alone, and for the account with the SID
# $Arguments.also, if there is one. Everybody may make folders where it lies: one that is not ours is refused.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$trusted = @('S-1-5-18', 'S-1-5-32-544')
$owners = $trusted + [Security.Principal.WindowsIdentity]::GetCurrent().User.Value
$folder = [Environment]::GetFolderPath('CommonApplicationData')
foreach ($part in @('hang-collector', $Arguments.name)) {
    $rights = New-Object Security.AccessControl.DirectorySecurity
    $rights.SetAccessRuleProtection($true, $false)
    $sids = $trusted
    if ($part -eq $Arguments.name -and $Arguments.also -ne '') { $sids = $trusted + $Arguments.also }
    foreach ($sid in $sids) {
        $account = New-Object Security.Principal.SecurityIdentifier $sid
        $inherit = [Security.AccessControl.InheritanceFlags]'ContainerInherit, ObjectInherit'
        $rule = New-Object Security.AccessControl.FileSystemAccessRule $account, 'FullControl', $inherit, 'None', 'Allow'
        $rights.AddAccessRule($rule)
    }
    $folder = Join-Path $folder $part
    [void][IO.Directory]::CreateDirectory($folder, $rights)
    $made = New-Object IO.DirectoryInfo $folder
    $owner = $made.GetAccessControl('Owner').GetOwner([Security.Principal.SecurityIdentifier]).Value
    if ($owners -notcontains $owner -or ($made.Attributes -band [IO.FileAttributes]::ReparsePoint)) {
        throw "$folder is a link, or was made by the account $owner, so nothing is put there. Look at it, and remove it."
    }
    $made.SetAccessControl($rights)
}
ConvertTo-Json -InputObject @{ folder = $folder } -Compress
