# Describes the machine with the id $Arguments.id.
Set-StrictMode -Version 2.0
'{"asking": "vmms"}'
try {
    $vm = Get-VM -Id ([guid]$Arguments.id)
    $services = @(Get-VMIntegrationService -VM $vm | ForEach-Object {
            @{ name = $_.Name; enabled = [bool]$_.Enabled; status = "$($_.PrimaryOperationalStatus)" }
        })
    $answer = @{
        state     = $vm.State.ToString()
        heartbeat = "$($vm.Heartbeat)"
        uptime    = [long]$vm.Uptime.TotalSeconds
        services  = $services
    }
}
catch {
    $answer = @{ failed = 'error'; category = $_.CategoryInfo.Category.ToString(); words = "$_" }
}
ConvertTo-Json -InputObject $answer -Depth 3 -Compress
