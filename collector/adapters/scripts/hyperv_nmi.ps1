# Injects one NMI into the machine with the id $Arguments.id, if it runs. `asked` tells whether Debug-VM was called.
Set-StrictMode -Version 2.0
$asked = $false
try {
    $vm = Get-VM -Id ([guid]$Arguments.id)
    $state = $vm.State.ToString()
    if ($state -notlike 'Running*') {
        $answer = @{ outcome = 'refused'; state = $state }
    }
    else {
        $asked = $true
        Debug-VM -VM $vm -InjectNonMaskableInterrupt -Force -Confirm:$false
        $answer = @{ outcome = 'sent' }
    }
}
catch {
    $answer = @{ outcome = 'failed'; asked = $asked; category = $_.CategoryInfo.Category.ToString(); words = "$_" }
}
ConvertTo-Json -InputObject $answer -Compress
