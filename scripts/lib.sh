# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What CI, the demo and the checks share: progress lines, packages, the cache
# folder, Debian's 6.12 kernel, and the build of the modules. Source it from
# bash, with `set -eu`.
#
# Nothing of a kernel is installed: packages of the kernel and of the guest are
# unpacked in the cache, so this machine boots as it did before. Only plain tools
# (compiler, QEMU, ...) are installed, and apt is asked only for what is missing.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C
shopt -s inherit_errexit

# say TEXT...: one line of progress.
say()
{
	printf '%s\n' "== $*" >&2
}

die()
{
	printf '%s\n' "error: $*" >&2
	exit 1
}

# cache_dir: the folder for what is downloaded, shared by all checkouts.
cache_dir()
{
	local dir=${XDG_CACHE_HOME:-~/.cache}/dma_pool_mgr

	mkdir -p "$dir"
	printf '%s\n' "$dir"
}

# build_dir: the folder for what is built; it hides itself from git.
build_dir()
{
	mkdir -p "$top/build"
	[ -e "$top/build/.gitignore" ] || echo '*' > "$top/build/.gitignore"
	printf '%s\n' "$top/build"
}

# locked COMMAND...: run it while no other script changes the cache or calls apt.
locked()
{
	local dir

	dir=$(cache_dir)
	(
		flock 9
		"$@"
	) 9> "$dir/.lock"
}

# logged COMMAND...: run it quietly; show what it said only if it failed.
logged()
{
	local log status=0

	log=$(mktemp)
	"$@" > "$log" 2>&1 < /dev/null || status=$?
	[ "$status" -eq 0 ] || sed 's/^/    /' "$log" >&2
	rm -f "$log"
	return "$status"
}

# apt_get ARGS...: the apt that also knows Debian's security suite.
apt_get()
{
	local conf

	conf=$(cache_dir)/apt/apt.conf
	[ ! -e "$conf" ] || export APT_CONFIG=$conf
	DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
}

apt_cache()
{
	local conf

	conf=$(cache_dir)/apt/apt.conf
	[ ! -e "$conf" ] || export APT_CONFIG=$conf
	apt-cache "$@"
}

# Debian 12 has its 6.12 kernels in the security suite, which a bare debootstrap
# leaves out. Add it for our own calls of apt, beside the machine's sources.
add_security_suite()
{
	local dir uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg

	# shellcheck disable=SC2016 # apt expands these
	uri=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' \
		'Created-By: Packages')
	! grep -q '^bookworm-security ' <<< "$uri" || return 0
	uri=$(sed -n 's,^bookworm \(.*/debian\)/*$,\1-security,p' <<< "$uri" | head -n 1)
	[ -n "$uri" ] || return 0

	dir=$(cache_dir)/apt
	mkdir -p "$dir/sources"
	find "$dir/sources" -type l -delete
	find /etc/apt/sources.list.d -maxdepth 1 -type f \
		-exec ln -s -t "$dir/sources" {} +
	echo "deb [signed-by=$keyring] $uri bookworm-security main" \
		> "$dir/sources/security.list"
	echo "Dir::Etc::SourceParts \"$dir/sources\";" > "$dir/apt.conf"
}

# apt_update: only when something has to be fetched, and not twice in a row.
apt_update()
{
	local stamp

	stamp=$(cache_dir)/apt/updated
	[ -z "$(find "$stamp" -mmin -30 2> /dev/null)" ] || return 0
	say "updating apt's package lists"
	add_security_suite
	logged apt_get update || die "apt-get update failed"
	mkdir -p "$(dirname "$stamp")"
	touch "$stamp"
}

installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2> /dev/null)" = "ii " ]
}

install_packages()
{
	local package missing=()

	for package in "$@"; do
		installed "$package" || missing+=("$package")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	[ "$(id -u)" -eq 0 ] || die "as root: apt-get install ${missing[*]}"
	apt_update
	say "installing ${missing[*]}"
	logged apt_get install --no-install-recommends "${missing[@]}" ||
		die "could not install ${missing[*]}"
}

# need_packages PACKAGE...: install those that are missing.
need_packages()
{
	local package

	for package in "$@"; do
		if ! installed "$package"; then
			locked install_packages "$@"
			return
		fi
	done
}

# unpack_packages DIR DEB...: unpack packages in DIR, all or nothing.
unpack_packages()
{
	local dir=$1 new=$1.new deb

	shift
	rm -rf "$dir" "$new"
	mkdir -p "$new"
	for deb in "$@"; do
		dpkg-deb -x "$deb" "$new"
	done
	mv "$new" "$dir"
}

in_dir()
{
	(
		cd "$1" || exit
		shift
		"$@"
	)
}

# download_dir: an empty folder for packages.
download_dir()
{
	local dir

	dir=$(cache_dir)/debs
	rm -rf "$dir"
	mkdir -p "$dir/partial"
	printf '%s\n' "$dir"
}

# newest_release: the newest stock kernel that apt knows, with its headers.
newest_release()
{
	apt_cache pkgnames linux- |
		sed -nE 's/^linux-(image|headers)-(6\.12\.[0-9]+\+deb12-amd64)$/\2/p' |
		sort -V | uniq -d | tail -n 1
}

# cached_release: the newest stock kernel that is unpacked in the cache.
cached_release()
{
	find "$(cache_dir)/kernel" -mindepth 1 -maxdepth 1 -name '*-amd64' \
		-printf '%f\n' 2> /dev/null | sort -V | tail -n 1
}

fetch_stock_kernel()
{
	local release version dir debs

	[ -z "$(cached_release)" ] || return 0
	apt_update
	release=$(newest_release)
	[ -n "$release" ] || die "apt lists no linux-image-6.12.*+deb12-amd64;" \
		"is Debian 12's security suite among its sources?"
	version=${release%-amd64}
	say "fetching Debian's kernel $release and its headers"
	dir=$(cache_dir)/kernel/$release
	debs=$(download_dir)
	logged in_dir "$debs" apt_get download "linux-image-$release" "linux-headers-$release" \
		"linux-headers-$version-common" "linux-kbuild-$version" ||
		die "could not download kernel $release"
	mkdir -p "$(dirname "$dir")"
	unpack_packages "$dir.part" "$debs"/*.deb
	rm -rf "$debs"

	# The headers expect to be at /usr/src; everything else in them is relative.
	sed -i "s,/usr/src,$dir/usr/src," \
		"$dir.part/usr/src/linux-headers-$release/Makefile"
	ln -sfn "../../../usr/src/linux-headers-$release" \
		"$dir.part/lib/modules/$release/build"
	depmod -b "$dir.part" "$release"
	mv "$dir.part" "$dir"
}

# stock_kernel: the root of Debian's unpacked 6.12 kernel; fetched if need be.
stock_kernel()
{
	need_packages kmod
	[ -n "$(cached_release)" ] || locked fetch_stock_kernel
	printf '%s\n' "$(cache_dir)/kernel/$(cached_release)"
}

# stock_release: its release, 6.12.N+deb12-amd64.
stock_release()
{
	basename "$(stock_kernel)"
}

# stock_kdir: the folder to build modules for it against.
stock_kdir()
{
	local root

	root=$(stock_kernel)
	printf '%s\n' "$root/lib/modules/$(basename "$root")/build"
}

fetch_guest_root()
{
	local dir debs

	dir=$(cache_dir)/guest-2
	[ ! -d "$dir" ] || return 0
	apt_update
	say "fetching the guest's user space"
	debs=$(download_dir)
	logged apt_get install --download-only --no-install-recommends \
		-o Dir::State::status=/dev/null -o Dir::Cache::archives="$debs" \
		busybox-static kexec-tools kmod e2fsprogs fdisk fio ||
		die "could not download the guest's user space"
	unpack_packages "$dir" "$debs"/*.deb
	rm -rf "$debs"
}

# guest_root: busybox, kmod, kexec, mkfs.ext4, sfdisk and fio with all their libraries,
# unpacked. Another list of packages is another folder.
guest_root()
{
	[ -d "$(cache_dir)/guest-2" ] || locked fetch_guest_root
	printf '%s\n' "$(cache_dir)/guest-2"
}

fetch_kernel_source()
{
	local dir debs

	dir=$(cache_dir)/linux-source-6.12
	[ ! -d "$dir" ] || return 0
	apt_update
	say "fetching and unpacking the kernel's source"
	debs=$(download_dir)
	logged in_dir "$debs" apt_get download linux-source-6.12 ||
		die "could not download linux-source-6.12"
	rm -rf "$dir.part"
	mkdir "$dir.part"
	dpkg-deb --fsys-tarfile "$debs"/*.deb |
		tar -xO ./usr/src/linux-source-6.12.tar.xz |
		tar -xJ -C "$dir.part" --strip-components=1
	rm -rf "$debs"
	mv "$dir.part" "$dir"
}

# kernel_source: Debian's 6.12 source tree, to read from; fetched if need be.
kernel_source()
{
	need_packages xz-utils
	[ -d "$(cache_dir)/linux-source-6.12" ] || locked fetch_kernel_source
	printf '%s\n' "$(cache_dir)/linux-source-6.12"
}

# need_module_tools: what building a module against Debian's headers takes.
need_module_tools()
{
	need_packages make gcc-12 libelf1 libssl3 zlib1g pahole
}

# module_farm DIR: a tree of links to our sources, so that objects land in DIR.
module_farm()
{
	local part

	mkdir -p "$1"
	find "$1" -xtype l -delete
	for part in Kbuild dma_pool_mgr include samples tests; do
		[ ! -e "$top/$part" ] || cp -rsf "$top/$part" "$1/"
	done
}

# find_header KDIR HEADER: where it is; Debian keeps what architectures share apart.
find_header()
{
	local dir

	for dir in "$1" "$1/source" $(sed -n 's,^include \(/.*\)/Makefile$,\1,p' "$1/Makefile"); do
		[ ! -e "$dir/include/$2" ] || { printf '%s\n' "$dir/include/$2"; return; }
	done
}

# check_kdir KDIR: stop, with what is wrong, if the modules can't be built against it.
check_kdir()
{
	local kdir=$1 release header

	[ -e "$kdir/Makefile" ] || die "$kdir: there is no kernel to build modules against"
	release=$(cat "$kdir/include/config/kernel.release" 2> /dev/null) ||
		die "$kdir: not prepared for modules; there: make modules_prepare"
	printf '%s\n' 6.12 "$release" | sort -VC ||
		die "$kdir: kernel $release is too old; the modules need 6.12 or later"
	header=$(find_header "$kdir" linux/syscore_ops.h)
	[ -z "$header" ] || grep -q '^struct syscore {' "$header" ||
		die "$kdir: kernel $release lacks struct syscore; 6.12 has it from" \
			"6.12.114 on"
}

# compiler_of KDIR: arguments for make, so that it takes the compiler of that kernel.
compiler_of()
{
	local config=$1/include/config/auto.conf major

	[ -z "${LLVM-}${CC-}" ] && grep -qs '^CONFIG_CC_IS_CLANG=y$' "$config" || return 0
	major=$(sed -n 's/^CONFIG_CLANG_VERSION=\(.*\)[0-9]\{4\}$/\1/p' "$config")
	if command -v clang > /dev/null; then
		echo LLVM=1
	elif command -v "clang-$major" > /dev/null; then
		echo "LLVM=-$major"
	else
		die "$1: this kernel was built by clang; install clang-$major, lld-$major and" \
			"llvm-$major"
	fi
}

# strip_modules DIR COMPILER: drop the debug data of its modules, which is most of them.
strip_modules()
{
	local strip=strip

	case $2 in
	LLVM=1) strip=llvm-strip ;;
	LLVM=*) strip=llvm-strip${2#LLVM=} ;;
	esac
	sed "s,^\($1/\)\?\(.*\)\.o$,$1/\2.ko," "$1/modules.order" |
		xargs -r -d '\n' "$strip" --strip-debug
}

# build_modules KDIR DIR [MAKE-ARGS...]: the modules, in DIR. Goal: modules.
build_modules()
{
	local kdir=$1 dir=$2 compiler

	shift 2
	case $kdir$dir in
	*[[:space:]%:]*)
		die "$dir, $kdir: a kernel's build can't cope with a blank, a colon or % in a" \
			"folder's name; move it"
		;;
	esac
	check_kdir "$kdir"
	compiler=$(compiler_of "$kdir")
	[ "$(cat "$dir/.kdir" 2> /dev/null)" = "$kdir" ] || rm -rf "$dir"
	module_farm "$dir"
	[[ " $* " != *" CONFIG_DMA_POOL_MGR_SNIPPETS=m "* ]] ||
		python3 -B "$top/tests/snippets/extract.py" "$dir/tests/snippets"
	echo "$kdir" > "$dir/.kdir"
	MAKEFLAGS='' make -j"$(nproc)" -C "$kdir" M="$dir" ${V:+"V=$V"} \
		CONFIG_DMA_POOL_MGR=m CONFIG_SAMPLE_DMA_POOL_MGR_DEMO=m \
		CONFIG_SAMPLE_DMA_POOL_MGR_EDU=m CONFIG_SAMPLE_DMA_POOL_MGR_NVME=m \
		${compiler:+"$compiler"} "$@" modules
	strip_modules "$dir" "$compiler"
}

# make_tree SOURCE TREE: the kernel's source as links, with a place for us.
make_tree()
{
	local source=$1 tree=$2

	[ ! -e "$tree" ] || return 0
	rm -rf "$tree.part"
	mkdir -p "$tree.part/drivers/dma_pool_mgr"
	find "$source" -mindepth 1 -maxdepth 1 ! -name drivers \
		-exec ln -s -t "$tree.part" {} +
	find "$source/drivers" -mindepth 1 -maxdepth 1 ! -name Kconfig ! -name Makefile \
		-exec ln -s -t "$tree.part/drivers" {} +
	sed 's,^endmenu,source "drivers/dma_pool_mgr/Kconfig"\n\n&,' \
		"$source/drivers/Kconfig" > "$tree.part/drivers/Kconfig"
	{
		cat "$source/drivers/Makefile"
		echo "obj-\$(CONFIG_DMA_POOL_MGR) += dma_pool_mgr/"
	} > "$tree.part/drivers/Makefile"
	mv "$tree.part" "$tree"
}

# project_files: what a kernel build reads of the project.
project_files()
{
	(
		cd "$top" || exit
		find Kbuild Kconfig dma_pool_mgr include samples tests/kunit tests/bench \
			tests/qemu/guest -type f ! -path '*/user/*' \
			\( -name '*.[chS]' -o -name Kbuild -o -name Kconfig -o -name Makefile \)
	)
}

# copy_project DIR: make DIR hold what a kernel build reads of the project.
copy_project()
{
	local dir=$1 file

	while read -r file; do
		cmp -s "$top/$file" "$dir/$file" && continue
		mkdir -p "$(dirname "$dir/$file")"
		cp "$top/$file" "$dir/$file"
	done < <(project_files)
	(cd "$dir" && find . -type f -printf '%P\n') | sort |
		comm -23 - <(project_files | sort) |
		while read -r file; do rm "$dir/$file"; done
}

# content DIR: a hash of the files there and their names.
content()
{
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) |
		sha256sum | cut -d ' ' -f 1
}

# prepare_guest: all that a guest on the stock kernel is made of.
prepare_guest()
{
	need_module_tools
	need_packages python3 qemu-system-x86
	stock_kernel > /dev/null
	guest_root > /dev/null
	say "building the modules for $(stock_release)"
	logged build_modules "$(stock_kdir)" "$(build_dir)/stock" \
		CONFIG_DMA_POOL_MGR_GUEST_TEST=m CONFIG_DMA_POOL_MGR_SNIPPETS=m ||
		die "the modules do not build"
}

# run_guest PROGRAM [ARGS...]: a program of tests/qemu on what that has prepared.
run_guest()
{
	local program=$1 modules

	shift
	mapfile -t modules < <(sed 's/\.o$/.ko/' "$(build_dir)/stock/modules.order")
	PYTHONDONTWRITEBYTECODE=1 python3 "$top/tests/qemu/$program" \
		"$(stock_kernel)" "$(guest_root)" "$(build_dir)" "$@" "${modules[@]}"
}
