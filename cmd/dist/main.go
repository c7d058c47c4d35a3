// Command dist packs binaries of wb: archives, Python wheels, lists of what is inside (SBOM) and checksums.
// The same input gives the same bytes. It must not know how wb is compiled: .ci/dist does that, and calls it.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings are the flags.
type settings struct {
	version string    // as git describe gives it, such as v0.2.0 or v0.2.0-3-gabc1234
	made    time.Time // of the commit; it is the time of every file
	gcc     string    // version of the compiler whose C++ library is linked in
	share   string    // folder with man pages and completions, laid out as below /usr/share
	texts   string    // folder with the texts of the licences of GCC's library
	out     string    // folder that receives the files
}

// entry is one file of an archive.
type entry struct {
	name string
	mode int64
	data []byte
}

func main() {
	var s settings
	var at int64
	flag.StringVar(&s.version, "version", "", "version of wb")
	flag.Int64Var(&at, "time", 0, "time of the commit, in seconds since 1970")
	flag.StringVar(&s.gcc, "gcc", "", "version of the compiler")
	flag.StringVar(&s.share, "share", "", "folder with man pages and completions")
	flag.StringVar(&s.texts, "texts", "", "folder with the texts of licences of GCC's library")
	flag.StringVar(&s.out, "out", "dist", "folder that receives the files")
	flag.Parse()
	s.made = time.Unix(at, 0).UTC()
	if err := pack(s, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// pack packs binaries, each given as ARCHITECTURE=PATH.
func pack(s settings, binaries []string) error {
	shared, err := folder(s.share, "share")
	if err != nil {
		return err
	}
	var names []string
	for _, b := range binaries {
		arch, path, _ := strings.Cut(b, "=")
		i := slices.IndexFunc(platforms, func(p platform) bool { return p.arch == arch })
		if i < 0 {
			return fmt.Errorf("pack %s: want ARCHITECTURE=PATH with %s or %s", b, platforms[0].arch, platforms[1].arch)
		}
		made, err := packOne(s, platforms[i], path, shared)
		if err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
		names = append(names, made...)
	}
	return sums(s.out, names)
}

// packOne makes the archive, the wheel and the SBOM of one binary, and returns their names.
func packOne(s settings, p platform, path string, shared []entry) ([]string, error) {
	newest, err := checkBinary(path, p)
	if err != nil {
		return nil, err
	}
	parts, err := inside(path, s)
	if err != nil {
		return nil, err
	}
	bom, err := sbom(s, p, parts)
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	texts := licences(parts)
	version := strings.TrimPrefix(s.version, "v")
	name := "wb-" + version + "-linux-" + p.arch
	archive := []entry{{"bin/wb", 0o755, binary}, {"share/doc/wb/wb.cdx.json", 0o644, bom}}
	for _, f := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		archive = append(archive, entry{"share/doc/wb/" + f, 0o644, data})
	}
	for _, t := range texts {
		archive = append(archive, entry{"share/doc/wb/" + t.name, t.mode, t.data})
	}
	archive = append(archive, shared...)
	made := []string{name + ".tar.gz", wheelName(s.version, p), name + ".cdx.json"}
	if err := writeTar(filepath.Join(s.out, made[0]), name, archive, s.made); err != nil {
		return nil, err
	}
	if err := writeWheel(filepath.Join(s.out, made[1]), s, p, wheelFiles(s.version, binary, bom, texts, shared)); err != nil {
		return nil, err
	}
	fmt.Printf("%s: newest symbol GLIBC_%s, %d parts\n", name, newest, len(parts))
	return made, os.WriteFile(filepath.Join(s.out, made[2]), bom, 0o644)
}

// folder reads all files below a folder; their names begin with a prefix.
func folder(dir, prefix string) ([]entry, error) {
	var all []entry
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		all = append(all, entry{prefix + "/" + filepath.ToSlash(rel), 0o644, data})
		return err
	})
	return all, err
}

// sums writes SHA256SUMS, which sha256sum --check reads.
func sums(dir string, names []string) error {
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		data, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), n)
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(b.String()), 0o644)
}
