package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var manFolder = flag.String("man", "", "write the man pages into this folder; their date is that of SOURCE_DATE_EPOCH")

// TestManPages makes the man pages from the commands. It is a test, so that wb itself need not contain what writes them.
func TestManPages(t *testing.T) {
	dir := *manFolder
	if dir == "" {
		dir = t.TempDir()
	}
	for _, v := range os.Environ() { // defaults come from these
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "WB_") || name == "XDG_CACHE_HOME" {
			t.Setenv(name, "")
		}
	}
	home := os.Getenv("HOME")
	t.Setenv("HOME", "~")
	var made time.Time
	if at, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		made = time.Unix(at, 0).UTC()
	}
	root := newRoot(io.Discard, io.Discard)
	root.DisableAutoGenTag = true // its date would be that of today
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "wb", Manual: "wb", Date: &made}, dir); err != nil {
		t.Fatal(err)
	}
	pages := 0
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		page, err := os.ReadFile(filepath.Join(dir, name+".1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"} {
			if !strings.Contains(string(page), want) {
				t.Errorf("%s.1 has no %s", name, want)
			}
		}
		if home != "" && strings.Contains(string(page), home+"/") {
			t.Errorf("%s.1 has the home folder of who made it", name)
		}
		pages++
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
				check(sub)
			}
		}
	}
	check(root)
	if pages < 20 {
		t.Errorf("%d pages", pages)
	}
}
