#!/bin/bash
# Machines out of namespaces on one: a laptop that is a bridge, and a head and two workers behind it, each with
# processes, a /tmp, a home and a host name of its own, and sshd. Needs root, iproute2, openssh-server, rsync and
# util-linux, and leaves nothing on the machine but what lies in W.
#
#   machines.sh up                   W: an empty folder, not below /tmp; PY: the prefix of the interpreter
#   machines.sh in NAME COMMAND...   BIN: the folder of `polytune` and `ray`; more for COMMAND's environment: CARRY
#   machines.sh down
set -e
self=$(realpath "$0") names="laptop head worker1 worker2"
case $1 in
up)
  cp "$self" "$W/machines.sh"; mkdir -p "$W/etc"; cd "$W"
  ssh-keygen -q -t ed25519 -N '' -f etc/id; ssh-keygen -q -t ed25519 -N '' -f etc/hostkey
  printf '127.0.0.1 localhost\n10.77.0.1 laptop\n10.77.0.10 head\n10.77.0.11 worker1\n10.77.0.12 worker2\n' > etc/hosts
  : > etc/resolv.conf   # a resolver that fails at once: with another, gloo waits ten seconds for each name
  printf '%s\n' "HostKey $W/etc/hostkey" "AuthorizedKeysFile $W/etc/id.pub" 'PasswordAuthentication no' 'UsePAM no' \
    'StrictModes no' 'PidFile none' > etc/sshd_config
  for n in $names; do ip netns add pt-$n; ip -n pt-$n link set lo up; done
  ip -n pt-laptop link add br0 type bridge; ip -n pt-laptop addr add 10.77.0.1/24 dev br0
  ip -n pt-laptop link set br0 up
  i=10
  for n in head worker1 worker2; do
    ip -n pt-laptop link add v-$n type veth peer name eth0 netns pt-$n; ip -n pt-laptop link set v-$n master br0 up
    ip -n pt-$n addr add 10.77.0.$i/24 dev eth0; ip -n pt-$n link set eth0 up
    ip -n pt-$n route add default via 10.77.0.1; i=$((i+1))   # Ray finds its address by the default route
  done
  for n in $names; do
    mkdir -p "$W/$n"/{tmp,home,run}
    setsid ip netns exec pt-$n env -i W="$W" PY="$PY" PATH="$PATH" HOME="$HOME" USER=root LANG=C.UTF-8 \
      unshare --mount --uts --ipc --pid --fork --kill-child bash "$W/machines.sh" init $n </dev/null >"$W/$n/log" 2>&1 &
    echo $! > "$W/$n/pid"
  done
  for n in $names; do timeout 20 bash -c "until [ -f '$W/$n/ready' ]; do sleep .2; done"; done ;;
init)
  n=$2 r=$W/$2
  mount --make-rprivate /; mount -t proc proc /proc; chmod 1777 "$r/tmp"
  case $PY in "$HOME"/*)   # an interpreter below ~ must survive that ~ is replaced
    mkdir -p "$r/home/${PY#"$HOME"/}"; mount --bind "$PY" "$r/home/${PY#"$HOME"/}" ;; esac
  mount --rbind "$r/home" "$HOME"; mount --bind "$r/tmp" /tmp; mount --bind "$r/run" /run
  mount -t tmpfs -o size=1g,mode=1777 tmpfs /dev/shm
  mount --bind "$W/etc/hosts" /etc/hosts; mount --bind "$W/etc/resolv.conf" /etc/resolv.conf
  hostname $n; mkdir -p /run/sshd; cd /
  "$(command -v sshd)" -D -e -f "$W/etc/sshd_config" 2>"$r/sshd.log" &
  touch "$r/ready"; while :; do wait -n || sleep 1; done ;;   # bash as process 1 reaps
in)
  n=$2; shift 2
  exec nsenter -t "$(pgrep -P "$(cat "$W/$n/pid")")" -m -u -i -n -p -w/ \
    env -i HOME="$HOME" USER=root LANG=C.UTF-8 TERM=dumb PATH="$BIN:$PATH" $CARRY "$@" ;;
down)
  for n in $names; do kill -9 "$(cat "$W/$n/pid" 2>/dev/null)" 2>/dev/null || true; done; sleep 1
  for n in $names; do ip netns del pt-$n 2>/dev/null || true; done ;;
esac
