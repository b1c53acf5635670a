#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Install exactly what is missing. See usage() below.
set -eu

usage()
{
	cat <<-'USAGE'
	Usage: scripts/install-deps.sh [OPTION...] [SET...]

	Installs what is missing on this machine, and nothing else, with the package manager that is
	there: apt-get, dnf, pacman, zypper or apk. (Tried: apt-get, on Debian 12 and 13. Untried: all
	others; their package names are from the distributions' own lists.) Uses sudo only if not root.

	SETs, default "build demo":
	  build  compilers, bpftool, libbpf      demo   what scripts/demo.sh runs
	  test   what the tests run              lint   what scripts/lint.sh runs
	  bench  what scripts/bench/ compares    vm     what scripts/vm/ runs (make vm-test)
	  all    all of these

	  -n, --dry-run       only print the names of the packages, one a line
	  -l, --list          the same, with those that are installed already
	      --manager NAME  ask this package manager
	USAGE
}

# What is needed: SET[,SET...], how to see that it is there, and what it is called by apt, dnf,
# pacman, zypper and apk ("-": comes with another one; "a/b": b where there is no a). "command:X"
# is a program, "runs:X" one that tells its version, "header:X" a file that the C compiler includes,
# "fuzzer:X" that X links libFuzzer.
needs()
{
	cat <<-'NEEDS'
	build            command:make          make             make                  make              make              make
	build            command:cc            gcc              gcc                   gcc               gcc               gcc
	build            header:stdio.h        libc6-dev        glibc-devel           glibc             glibc-devel       musl-dev
	build            header:linux/bpf.h    linux-libc-dev   kernel-headers        linux-api-headers linux-glibc-devel linux-headers
	build            command:clang         clang            clang                 clang             clang             clang
	build            runs:bpftool          bpftool/linux-tools-generic bpftool    bpf               bpftool           bpftool
	build            command:pkg-config    pkgconf/pkg-config pkgconf-pkg-config  pkgconf           pkg-config        pkgconf
	build            header:bpf/libbpf.h   libbpf-dev       libbpf-devel          libbpf            libbpf-devel      libbpf-dev
	build            header:libelf.h       libelf-dev       elfutils-libelf-devel libelf            libelf-devel      elfutils-dev
	build            header:zlib.h         zlib1g-dev       zlib-devel            zlib              zlib-devel        zlib-dev
	demo,test,bench  command:ip            iproute2         iproute               iproute2          iproute2          iproute2
	demo,test,bench  command:tc            iproute2         iproute-tc            iproute2          iproute2          iproute2
	demo,test        command:unshare       util-linux       util-linux            util-linux        util-linux        util-linux-misc
	demo,test        command:socat         socat            socat                 socat             socat             socat
	demo,test,bench  command:sysctl        procps           procps-ng             procps-ng         procps            procps-ng
	test             header:sanitizer/asan_interface.h gcc    libasan               gcc               gcc               -
	test             fuzzer:clang          libclang-rt-dev/libclang-rt-14-dev compiler-rt     compiler-rt       -                 -
	test             header:pcap/pcap.h    libpcap-dev      libpcap-devel         libpcap           libpcap-devel     libpcap-dev
	test             command:setpriv       util-linux       util-linux            util-linux        util-linux        setpriv
	test,bench       command:ping          iputils-ping     iputils               iputils           iputils           iputils
	test             command:nc            netcat-openbsd   netcat                openbsd-netcat    netcat-openbsd    netcat-openbsd
	test             command:curl          curl             curl                  curl              curl              curl
	test             command:dig           bind9-dnsutils   bind-utils            bind              bind-utils        bind-tools
	test             command:dnsmasq       dnsmasq-base     dnsmasq               dnsmasq           dnsmasq           dnsmasq
	test             command:capsh         libcap2-bin      libcap                libcap            libcap-progs      libcap-utils
	test             command:tcpreplay     tcpreplay        tcpreplay             tcpreplay         tcpreplay         tcpreplay
	test             command:nfcapd        nfdump           nfdump                -                 nfdump            nfdump
	test             command:tshark        tshark           wireshark-cli         wireshark-cli     wireshark         tshark
	test             command:scapy         python3-scapy    python3-scapy         scapy             python3-scapy     scapy
	test,bench       command:python3       python3          python3               python            python3           python3
	test             command:tmux          tmux             tmux                  tmux              tmux              tmux
	test             command:jq            jq               jq                    jq                jq                jq
	test             command:ethtool       ethtool          ethtool               ethtool           ethtool           ethtool
	test             command:iperf3        iperf3           iperf3                iperf3            iperf             iperf3
	test,bench       command:nft           nftables         nftables              nftables          nftables          nftables
	test,bench       command:tcpdump       tcpdump          tcpdump               tcpdump           tcpdump           tcpdump
	test             command:logrotate     logrotate        logrotate             logrotate         logrotate         logrotate
	test             command:/lib/systemd/systemd systemd    systemd               systemd           systemd           -
	test             command:dh            debhelper        -                     -                 -                 -
	test             command:dpkg-buildpackage dpkg-dev     -                     -                 -                 -
	test             command:lintian       lintian          -                     -                 -                 -
	test             command:rpmbuild      rpm              rpm-build             rpm-tools         rpm-build         rpm
	test             command:rpmlint       rpmlint          rpmlint               -                 rpmlint           -
	test             command:promtool      prometheus       golang-github-prometheus prometheus       golang-github-prometheus-prometheus prometheus
	test             command:prometheus-node-exporter prometheus-node-exporter - - - -
	lint             command:clang-format  clang-format     clang-tools-extra     clang             clang-tools       clang-extra-tools
	lint             command:clang-tidy    clang-tidy       clang-tools-extra     clang             clang-tools       clang-extra-tools
	lint             command:cppcheck      cppcheck         cppcheck              cppcheck          cppcheck          cppcheck
	lint             command:shellcheck    shellcheck       ShellCheck            shellcheck        ShellCheck        shellcheck
	lint             command:codespell     codespell        codespell             codespell         codespell         codespell
	lint             command:mandoc        mandoc           mandoc                mandoc            mandoc            mandoc
	lint             command:git           git              git-core              git               git-core          git
	test,bench       command:gnuplot       gnuplot-nox      gnuplot               gnuplot           gnuplot           gnuplot
	bench            command:perf          linux-perf/linux-tools-generic perf    perf              perf              perf
	bench            command:softflowd     softflowd        softflowd             softflowd         softflowd         softflowd
	bench            command:iftop         iftop            iftop                 iftop             iftop             iftop
	test,bench       command:nfacctd       pmacct           pmacct                pmacct            pmacct            pmacct
	vm               command:qemu-system-x86_64 qemu-system-x86 qemu-system-x86-core qemu-system-x86 qemu-x86 qemu-system-x86_64
	vm               command:cpio          cpio             cpio                  cpio              cpio              cpio
	vm               command:depmod        kmod             kmod                  kmod              kmod              kmod
	NEEDS
}

die()
{
	echo "install-deps.sh: $*" >&2
	exit 1
}

# Another package manager may be at work: a new machine upgrades itself.
LOCK_SECONDS=600

# apt_get ARGUMENT...: apt-get; waits for the locks of others. (DPkg::Lock::Timeout would wait for
# dpkg's lock, but not for that of the package lists.)
apt_get()
{
	local end=$((SECONDS + LOCK_SECONDS)) waiting=no errors
	while :; do
		# stdout to the caller's, stderr to the variable
		{ errors=$("${as_root[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive \
			apt-get -q "$@" 2>&1 >&3 3>&-) && return; } 3>&1
		if [[ $errors != *"E: Could not get lock "* || $SECONDS -ge $end ]]; then
			echo "$errors" >&2
			return 1
		fi
		# Warnings may come before it.
		errors=${errors#*E: Could not get }
		[ $waiting = yes ] || echo "install-deps.sh: waiting for another package manager," \
			"$((LOCK_SECONDS / 60)) minutes at most, to get ${errors%%$'\n'*}" >&2
		waiting=yes
		sleep 1 # the kernel does not tell when a lock of fcntl() is free; apt itself asks each second
	done
}

# Debian and others keep some programs out of an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

sets=() dry_run=no list=no manager=
while [ $# -gt 0 ]; do
	case $1 in
	build | demo | test | lint | bench | vm) sets+=("$1") ;;
	all) sets+=(build demo test lint bench vm) ;;
	-n | --dry-run) dry_run=yes ;;
	-l | --list) dry_run=yes list=yes ;;
	--manager) manager=${2:-}; shift ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
[ ${#sets[@]} -gt 0 ] || sets=(build demo)

if [ -z "$manager" ]; then
	for manager in apt-get dnf pacman zypper apk none; do
		! command -v $manager > /dev/null || break
	done
fi
case $manager in
apt-get) column=0 ;;
dnf) column=1 ;;
pacman) column=2 ;;
zypper) column=3 ;;
apk) column=4 ;;
*) die "no known package manager here (apt-get, dnf, pacman, zypper, apk)" ;;
esac

# present PROBE
present()
{
	case $1 in
	command:*) command -v "${1#*:}" > /dev/null ;;
	runs:*) PATH=$("$(dirname "$0")/path.sh") "${1#*:}" version > /dev/null 2>&1 ;;
	fuzzer:*)
		echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
			"${1#*:}" -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2> /dev/null
		;;
	header:*) echo "#include <${1#*:}>" | cc -E -x c - > /dev/null 2>&1 ;;
	esac
}

# The services of these packages are not started, neither now nor at boot.
SERVICES=(nfdump pmacct prometheus prometheus-node-exporter)
POLICY=/usr/sbin/policy-rc.d # Debian's packages ask it before they start a service

# without_services PACKAGE... -- COMMAND...: install those packages by that command
without_services()
{
	local services=() policy=there service status=0
	while [ "$1" != -- ]; do
		[[ " ${SERVICES[*]} " != *" $1 "* ]] || services+=("$1")
		shift
	done
	shift
	if [ "$manager" = apt-get ] && [ ${#services[@]} -gt 0 ] && [ ! -e $POLICY ]; then
		policy=ours
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin $POLICY
	fi
	"$@" || status=$?
	[ $policy = there ] || "${as_root[@]}" rm -f $POLICY
	for service in ${services[@]+"${services[@]}"}; do
		"${as_root[@]}" systemctl -q disable "$service" 2> /dev/null || true
	done
	return $status
}

# missing: the probes of the wanted sets that fail (with --list: all), each with its package names
missing()
{
	local in_sets probe packages wanted
	while read -r in_sets probe packages; do
		for wanted in "${sets[@]}"; do
			if [[ ,$in_sets, == *",$wanted,"* ]]; then
				# shellcheck disable=SC2086
				set -- $packages
				shift $column
				[ "$1" = - ] || { [ $list = no ] && present "$probe"; } || echo "$probe $1"
				break
			fi
		done
	done < <(needs)
}

# available: of the packages in lines "PROBE A/B" those that the package manager can install, one a
# line; the untried ones find out themselves
available()
{
	local names
	mapfile -t names < <(cut -d ' ' -f 2 | tr / '\n' | sort -u)
	if [ "$manager" != apt-get ]; then
		printf '%s\n' "${names[@]}"
		return
	fi
	LC_ALL=C apt-cache policy "${names[@]}" 2> /dev/null |
		sed -n '/^[^ ]/{s/:$//;h}; /^ *Candidate: [^(]/{g;p}'
}

# choose: from lines "PROBE A/B" the names of the packages to install, each once
choose()
{
	local lines probe names name chosen there
	lines=$(cat)
	there=$(available <<< "$lines")
	while read -r probe names; do
		chosen=
		for name in ${names//\// }; do
			if [[ $'\n'$there$'\n' == *$'\n'$name$'\n'* ]]; then
				chosen=$name
				break
			fi
		done
		if [ -z "$chosen" ]; then
			[ $dry_run = yes ] || die "no package $names for ${probe#*:} in this machine's sources"
			chosen=${names%%/*}
		fi
		echo "$chosen"
	done <<< "$lines" | sort -u
}

# how_large PACKAGE...: ": 12 MB to download, 34 MB on disk", where the package manager tells
how_large()
{
	[ "$manager" = apt-get ] || return 0
	LC_ALL=C apt-get -o Debug::NoLocking=1 --print-uris --no-install-recommends install "$@" 2> /dev/null |
		sed -n 's/^Need to get \(.*\) of archives\./: \1 to download/p
			s/^After this operation, \(.*\) of additional disk space will be used\./, \1 on disk/p' |
		tr -d '\n'
}

lacking=$(missing)
if [ -z "$lacking" ]; then
	[ $dry_run = yes ] || echo "install-deps.sh: nothing to install for: ${sets[*]}"
	exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ] && [ $dry_run = no ]; then
	command -v sudo > /dev/null || die "not root and no sudo; missing: $(choose <<< "$lacking" | xargs)"
	as_root=(sudo)
fi
if [ "$manager" = apt-get ] && [ $dry_run = no ]; then
	apt_get update || die "apt-get update failed"
fi
# A failed die() in there ends the pipeline, and with pipefail this script.
set -o pipefail
packages=$(choose <<< "$lacking")
if [ $dry_run = yes ]; then
	echo "$packages"
	exit 0
fi
mapfile -t packages <<< "$packages"
echo "install-deps.sh: installing ${packages[*]}$(how_large "${packages[@]}")"
case $manager in
# A configuration file that is there already stays: dpkg would ask.
apt-get) command=(apt_get -y --no-install-recommends -o DPkg::Options::=--force-confold install) ;;
dnf) command=("${as_root[@]}" dnf -y install) ;;
pacman) command=("${as_root[@]}" pacman -S --noconfirm --needed) ;;
zypper) command=("${as_root[@]}" zypper --non-interactive install --no-recommends) ;;
apk) command=("${as_root[@]}" apk add) ;;
esac
if ! without_services "${packages[@]}" -- "${command[@]}" "${packages[@]}"; then
	# All at once failed: one by one, to name the culprit.
	failed=()
	for package in "${packages[@]}"; do
		without_services "$package" -- "${command[@]}" "$package" > /dev/null 2>&1 || failed+=("$package")
	done
	[ ${#failed[@]} -eq 0 ] || die "$manager cannot install: ${failed[*]}"
fi

hash -r
lacking=$(missing)
[ -z "$lacking" ] ||
	die "still missing after the installation: $(sed -E 's/^[a-z]+:(\S+) (.*)/\1 (package \2)/' <<< "$lacking" | paste -sd, | sed 's/,/, /g')"
