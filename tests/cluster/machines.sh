#!/bin/bash
# Runs a command on a machine that reaches two others, 10.77.0.1 and 10.77.0.2, through SSH: machines.sh FOLDER COMMAND...
#
# The three are namespaces of this machine: each has its own processes, network, home folder and folders of Ray, so that
# `ray stop` ends nothing else. All share the rest of the file system. FOLDER has an sshd_config, and the homes client,
# home1 and home2. It needs root. When the command ends, all processes end with it.
set -eu
if [ $$ != 1 ]; then
    exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi
folder=$1
shift
mkdir -p /tmp/ray /tmp/raydistill-7 /run/sshd
ip link set lo up
ip link add bridge0 type bridge
ip address add 10.77.0.254/24 dev bridge0
ip link set bridge0 up

for number in 1 2; do
    "$(dirname "$0")/machine.sh" "$folder" $number &
    until (exec 3<> /dev/tcp/10.77.0.$number/22) 2> /dev/null; do sleep 0.1; done
done

mount -t tmpfs tmpfs /tmp/ray
export HOME="$folder/client"
"$@"
