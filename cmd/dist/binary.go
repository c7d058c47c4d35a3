package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// platform is a kind of machine.
type platform struct {
	arch    string // as uname says, but for arm64
	wheel   string // its name in the name of a wheel
	goarch  string
	machine elf.Machine
}

var platforms = []platform{
	{"x86_64", "x86_64", "amd64", elf.EM_X86_64},
	{"arm64", "aarch64", "arm64", elf.EM_AARCH64},
}

// newestGlibc is what a system must have: RHEL 9, Ubuntu 22.04, Debian 12 and what is newer. The names of the wheels say it too.
const newestGlibc = "2.34"

// A binary may need these libraries of a system and no other. The C++ library is inside.
var systemLibraries = []string{"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}

// checkBinary refuses a binary that would not start on a system with glibc newestGlibc. It returns the newest version that is needed.
func checkBinary(path string, p platform) (newest string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if f.Machine != p.machine {
		return "", fmt.Errorf("it is for %v, not %v", f.Machine, p.machine)
	}
	needs, err := f.ImportedLibraries()
	if err != nil {
		return "", fmt.Errorf("read libraries: %w", err)
	}
	for _, l := range needs {
		if !slices.Contains(systemLibraries, l) {
			return "", fmt.Errorf("it needs %s", l)
		}
	}
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return "", fmt.Errorf("read symbols: %w", err)
	}
	return checkSymbols(symbols)
}

func checkSymbols(symbols []elf.ImportedSymbol) (newest string, err error) {
	var fails []error
	for _, s := range symbols {
		version, ok := strings.CutPrefix(s.Version, "GLIBC_")
		if !ok {
			continue
		}
		if older(newest, version) {
			newest = version
		}
		if older(newestGlibc, version) {
			fails = append(fails, fmt.Errorf("%s needs glibc %s, but the promise is %s", s.Name, version, newestGlibc))
		}
	}
	if newest == "" {
		return "", errors.New("no symbol of glibc was found")
	}
	return newest, errors.Join(fails...)
}

// older compares versions such as 2.4 and 2.34.
func older(a, b string) bool {
	return slices.Compare(numbers(a), numbers(b)) < 0
}

func numbers(version string) (all []int) {
	for _, part := range strings.Split(version, ".") {
		n, _ := strconv.Atoi(part) // what is no number, such as PRIVATE, counts as 0
		all = append(all, n)
	}
	return all
}
