# What Hyper-V logged of the machine with the id $Arguments.id within two days. Needs no answer of vmms.
Set-StrictMode -Version 2.0
$logs = 'Microsoft-Windows-Hyper-V-VMMS-Admin', 'Microsoft-Windows-Hyper-V-Worker-Admin'
$since = (Get-Date).AddDays(-2)
$events = @(foreach ($log in $logs) {
    Get-WinEvent -FilterHashtable @{ LogName = $log; StartTime = $since } -MaxEvents 2000 -ErrorAction SilentlyContinue |
        Where-Object { $_.ToXml() -like "*$($Arguments.id)*" } |
        Select-Object -First 200 |
        ForEach-Object {
            @{
                id   = [string]$_.RecordId
                code = $_.Id
                time = $_.TimeCreated.ToFileTimeUtc()
                log  = $log
                text = [string]$_.Message
            }
        }
})
ConvertTo-Json -InputObject @{ events = $events } -Depth 3 -Compress
