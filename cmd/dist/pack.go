package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// writeTar writes a compressed archive whose files are in one folder. It is sorted, and its files are of user 0 and of one time.
func writeTar(path, dir string, files []entry, at time.Time) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	for _, e := range sorted(files) {
		h := tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, Name: dir + "/" + e.name, Mode: e.mode, Size: int64(len(e.data)),
			ModTime: at}
		if err := w.WriteHeader(&h); err != nil {
			return fmt.Errorf("write %s: %w", e.name, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return fmt.Errorf("write %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, packed.Bytes(), 0o644)
}

func sorted(files []entry) []entry {
	return slices.SortedFunc(slices.Values(files), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
}

// distribution is the name in a package index, where wb is another project. The command is wb.
const distribution = "wb-bench"

// wheelName gives the file name of a wheel, whose parts the standard fixes.
func wheelName(version string, p platform) string {
	return fmt.Sprintf("%s-py3-none-%s.whl", wheelStem(version), wheelTag(p))
}

func wheelStem(version string) string {
	return strings.ReplaceAll(distribution, "-", "_") + "-" + pythonVersion(version)
}

func wheelTag(p platform) string {
	return "manylinux_" + strings.ReplaceAll(newestGlibc, ".", "_") + "_" + p.wheel
}

var described = regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+)*)(?:-([0-9]+)-g([0-9a-f]+))?(-dirty)?$`)

// pythonVersion turns what git describe says into a version as Python wants it (PEP 440):
// v0.1.0-4-g713fec0 becomes 0.1.0.post4+g713fec0, and 713fec0, before any tag, 0.0.0+g713fec0.
func pythonVersion(version string) string {
	version, dirty := strings.CutSuffix(version, "-dirty")
	m := described.FindStringSubmatch(version)
	number, local := "0.0.0", ""
	switch {
	case m != nil && strings.Contains(m[1], "."):
		number = m[1]
		if m[2] != "" {
			number, local = number+".post"+m[2], "g"+m[3]
		}
	default:
		local = "g" + strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(version), "."), ".")
	}
	if dirty {
		local = strings.TrimPrefix(local+".dirty", ".")
	}
	if local != "" {
		number += "+" + local
	}
	return number
}

// wheelFiles gives the content of a wheel, without the files that describe it. pip puts scripts beside those of other packages.
func wheelFiles(version string, binary, bom []byte, texts, shared []entry) []entry {
	stem := wheelStem(version)
	all := []entry{{stem + ".data/scripts/wb", 0o755, binary}, {stem + ".dist-info/sboms/wb.cdx.json", 0o644, bom}}
	for _, e := range shared {
		all = append(all, entry{stem + ".data/data/" + e.name, e.mode, e.data})
	}
	for _, e := range texts {
		all = append(all, entry{stem + ".dist-info/" + e.name, e.mode, e.data})
	}
	return all
}

// writeWheel writes a wheel: a zip with METADATA, WHEEL and, as the last file, RECORD with the hash of each.
func writeWheel(path string, s settings, p platform, files []entry) error {
	info := wheelStem(s.version) + ".dist-info/"
	files = sorted(append(files, entry{info + "METADATA", 0o644, metadata(s.version, info, files)}, entry{info + "WHEEL", 0o644,
		fmt.Appendf(nil, "Wheel-Version: 1.0\nGenerator: wb\nRoot-Is-Purelib: false\nTag: py3-none-%s\n", wheelTag(p))}))
	var record strings.Builder
	for _, e := range files {
		sum := sha256.Sum256(e.data)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", e.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(e.data))
	}
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	files = append(files, entry{info + "RECORD", 0o644, []byte(record.String())})
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, e := range files {
		h := zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: s.made}
		h.SetMode(os.FileMode(e.mode)) //nolint:gosec // a mode of nine bits
		f, err := w.CreateHeader(&h)
		if err != nil {
			return fmt.Errorf("write %s: %w", e.name, err)
		}
		if _, err := f.Write(e.data); err != nil {
			return fmt.Errorf("write %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, packed.Bytes(), 0o644)
}

// metadata describes the wheel to pip.
func metadata(version, info string, files []entry) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.4\nName: %s\nVersion: %s\n", distribution, pythonVersion(version))
	b.WriteString("Summary: Measures one language model on one machine: why a turn was slow, and whether a change helped\n")
	b.WriteString("License-Expression: Apache-2.0\n")
	for _, e := range sorted(files) {
		if name, ok := strings.CutPrefix(e.name, info+"licenses/"); ok {
			fmt.Fprintf(&b, "License-File: %s\n", name)
		}
	}
	b.WriteString("Classifier: Environment :: Console\nClassifier: Operating System :: POSIX :: Linux\n")
	b.WriteString("Description-Content-Type: text/plain\n\n")
	b.WriteString("wb plays conversations against vLLM or another OpenAI-compatible server, records every turn in one DuckDB file,\n" +
		"and answers questions about it. This package holds the program wb. It contains no Python code.\n" +
		"A wb in a virtual environment finds the vLLM that is installed there.\n")
	return []byte(b.String())
}
