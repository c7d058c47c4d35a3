#!/bin/sh
# Downloads the pinned echarts.min.js, its licence and its notice, so that the build can embed them. Does nothing if they are here.
# Without npm, or without a network, the build still works: then pages with charts link the library on a CDN.
set -eu

version=5.6.0 # keep equal to echartsVersion in ../html.go; a test compares them
tarball_sha256=e1b82487dd7f8d9f0438eec1f1433051148e0095ac7a15d4db890afda45cf610
script_sha256=bf4a223524e40b77c304bec67e1222cf551f14880cf42c69dc046558e11c07b1

cd "$(dirname "$0")"

sha256() {
	if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

if [ -f echarts.min.js ] && [ -f echarts.LICENSE ] && [ -f echarts.NOTICE ] && [ "$(sha256 echarts.min.js)" = "$script_sha256" ]; then
	exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
	echo "echarts: npm not found; charts will link the library on a CDN" >&2
	exit 0
fi

here=$PWD
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
if ! npm pack "echarts@$version" --silent >/dev/null 2>npm.log || [ ! -f "echarts-$version.tgz" ]; then
	echo "echarts: npm could not fetch echarts@$version; charts will link the library on a CDN" >&2
	exit 0
fi
check() {
	got=$(sha256 "$1")
	if [ "$got" != "$2" ]; then
		echo "echarts: $1 has sha256 $got, want $2" >&2
		exit 1
	fi
}
check "echarts-$version.tgz" "$tarball_sha256"
tar xzf "echarts-$version.tgz" package/dist/echarts.min.js package/LICENSE package/NOTICE
check package/dist/echarts.min.js "$script_sha256"
cp package/LICENSE "$here/echarts.LICENSE"
cp package/NOTICE "$here/echarts.NOTICE"
cp package/dist/echarts.min.js "$here/.echarts.min.js" # renamed into place: a build never embeds half a file
mv "$here/.echarts.min.js" "$here/echarts.min.js"
