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

own=$(readlink /proc/self/ns/net)
for number in 1 2; do
    unshare --net --mount --pid --fork --kill-child --mount-proc bash -c "
        echo 'root:x:0:0:root:$folder/home$number:/bin/bash' | cat - /etc/passwd > '$folder/passwd$number'
        mount --bind '$folder/passwd$number' /etc/passwd
        for own in /tmp/ray /tmp/raydistill-7; do mount -t tmpfs tmpfs \$own; done
        exec /usr/sbin/sshd -D -E '$folder/sshd$number.log' -f '$folder/sshd_config'" &
    machine=$!
    until [ "$(readlink /proc/$machine/ns/net)" != "$own" ]; do sleep 0.1; done
    ip link add "port$number" type veth peer name eth0 netns $machine
    ip link set "port$number" master bridge0 up
    nsenter --target $machine --net bash -c "
        ip link set lo up
        ip address add 10.77.0.$number/24 dev eth0
        ip link set eth0 up
        ip route add default via 10.77.0.254"
done

mount -t tmpfs tmpfs /tmp/ray
export HOME="$folder/client"
"$@"
