# Finds the machines named $Arguments.vm on this host; if there is none, the cluster nodes that own one.
# -eq, because -Name of Get-VM and Debug-VM takes wildcards: a name may hold brackets, or be an asterisk.
Set-StrictMode -Version 2.0
if (-not (Get-Command -Name Debug-VM -ErrorAction SilentlyContinue)) {
    '{"failed": "module"}'
    exit 0
}
'{"asking": "vmms"}'
try {
    $machines = @(Get-VM | Where-Object { $_.Name -eq $Arguments.vm } | ForEach-Object {
            @{ id = $_.Id.ToString(); state = $_.State.ToString() }
        })
    $owners = @()
    if ($machines.Count -eq 0 -and (Get-Command -Name Get-ClusterGroup -ErrorAction SilentlyContinue)) {
        $owners = @(Get-ClusterGroup -ErrorAction SilentlyContinue |
                Where-Object { "$($_.GroupType)" -eq 'VirtualMachine' -and $_.Name -eq $Arguments.vm } |
                ForEach-Object { $_.OwnerNode.Name })
    }
    $answer = @{ node = $env:COMPUTERNAME; machines = $machines; owners = $owners }
}
catch {
    $answer = @{ failed = 'error'; category = $_.CategoryInfo.Category.ToString(); words = "$_" }
}
ConvertTo-Json -InputObject $answer -Depth 3 -Compress
