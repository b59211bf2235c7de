#!/bin/bash
# Runs machine number N, 10.77.0.N, with an SSH server, until it is killed: machine.sh FOLDER N. It is part of
# machines.sh. The process id in FOLDER/machineN ends the machine, at once and with all that runs on it.
set -eu
folder=$1 number=$2
own=$(readlink /proc/self/ns/net)
connect() {
    until [ "$(readlink /proc/$$/ns/net)" != "$own" ]; do sleep 0.1; done
    until ip link add "port$number" type veth peer name eth0 netns $$; do sleep 0.1; done  # of a machine killed just now
    ip link set "port$number" master bridge0 up
    nsenter --target $$ --net bash -c "
        ip link set lo up
        ip address add 10.77.0.$number/24 dev eth0
        ip link set eth0 up
        ip route add default via 10.77.0.254"
}
connect &
echo $$ > "$folder/machine$number"
exec unshare --net --mount --pid --fork --kill-child --mount-proc bash -c "
    echo 'root:x:0:0:root:$folder/home$number:/bin/bash' | cat - /etc/passwd > '$folder/passwd$number'
    mount --bind '$folder/passwd$number' /etc/passwd
    for own in /tmp/ray /tmp/raydistill-7; do mount -t tmpfs tmpfs \$own; done
    exec /usr/sbin/sshd -D -E '$folder/sshd$number.log' -f '$folder/sshd_config'"
