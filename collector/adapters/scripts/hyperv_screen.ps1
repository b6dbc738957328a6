# The console of the machine with the id $Arguments.id: a line of Base64 (RGB 565), then its size.
# WMI in place of CIM: it takes the path of an object where the method wants a reference.
Set-StrictMode -Version 2.0
'{"asking": "vmms"}'
$space = 'root\virtualization\v2'
$vm = Get-WmiObject -Namespace $space -Class Msvm_ComputerSystem | Where-Object { $_.Name -eq $Arguments.id }
$settings = $vm.GetRelated('Msvm_VirtualSystemSettingData') |
    Where-Object { $_.VirtualSystemType -eq 'Microsoft:Hyper-V:System:Realized' }
$width, $height = 1024, 768
$heads = @($vm.GetRelated('Msvm_VideoHead') | Where-Object { $_.CurrentHorizontalResolution -gt 0 })
if ($heads.Count -gt 0) {
    $width = [Math]::Min(1920, [int]@($heads[0].CurrentHorizontalResolution)[0])
    $height = [Math]::Min(1200, [int]@($heads[0].CurrentVerticalResolution)[0])
}
$service = Get-WmiObject -Namespace $space -Class Msvm_VirtualSystemManagementService
$result = $service.GetVirtualSystemThumbnailImage($settings.__PATH, [uint16]$width, [uint16]$height)
if ($result.ReturnValue -eq 0 -and $result.ImageData) {
    [Convert]::ToBase64String([byte[]]$result.ImageData)
}
ConvertTo-Json -InputObject @{ code = $result.ReturnValue; width = $width; height = $height } -Compress
