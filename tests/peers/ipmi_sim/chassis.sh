#!/bin/sh
# The chassis of the simulated board: ipmi_sim calls `chassis.sh FOLDER MC get|set NAME [VALUE] ...`.
# FOLDER/power holds 1 (on) or 0 (off); FOLDER/actions gets one line for each change that was asked for.
folder=$1 verb=$3
shift 3

case $verb in
get)
    for name; do
        case $name in
        power) echo "power:$(cat "$folder/power")" ;;
        boot) echo "boot:default" ;;
        *) exit 1 ;;
        esac
    done
    ;;
set)
    while [ $# -ge 2 ]; do
        echo "$1 $2" >> "$folder/actions"
        [ "$1" = power ] && echo "$2" > "$folder/power"
        shift 2
    done
    ;;
*) exit 1 ;;
esac
exit 0
