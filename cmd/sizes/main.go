// Command sizes fails when code has become too large to be read easily: files, functions, structs, lines and the folder of the commands.
// It fails, too, for lines of Markdown with several sentences, and for words that the changelog lists as not used any more.
// There is one exception: a struct may be wide if its doc comment says why. It must know nothing of what the code does.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// The limits.
const (
	fileLines     = 500
	functionLines = 80
	structFields  = 15
	commandLines  = 2500 // all of cmd/wb without its tests
	lineLength    = 140  // characters, not bytes
)

// commandFolder should hold only code that connects flags to packages.
const commandFolder = "cmd/wb"

// wideMark begins the line of a struct's doc comment that says why the struct has many fields.
const wideMark = "// wide: "

// kind is the kind of thing that is too large.
type kind string

const (
	largeFile     kind = "files"
	largeFunction kind = "functions"
	wideStruct    kind = "structs"
	largeCommand  kind = "command folders"
	longLine      kind = "lines"
	sentences     kind = "lines of Markdown"
	oldWord       kind = "words"
)

var limits = []struct {
	kind  kind
	limit string
}{
	{largeFile, fmt.Sprintf("over %d lines", fileLines)},
	{largeFunction, fmt.Sprintf("over %d lines", functionLines)},
	{wideStruct, fmt.Sprintf("over %d fields", structFields)},
	{largeCommand, fmt.Sprintf("over %d lines", commandLines)},
	{longLine, fmt.Sprintf("over %d characters", lineLength)},
	{sentences, "with several sentences"},
	{oldWord, "that are not used any more"},
}

// violation is one thing that is too large, and the file and line where it begins.
type violation struct {
	kind    kind
	file    string
	line    int
	message string
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run checks the module in a folder and returns the exit code: 0 if nothing is too large, 1 if something is, 2 if the check failed.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sizes", flag.ContinueOnError)
	flags.SetOutput(stderr)
	folder := flags.String("folder", ".", "`folder` of the module")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return 2
	}
	found, err := check(os.DirFS(*folder))
	if err != nil {
		fmt.Fprintln(stderr, "sizes:", err)
		return 2
	}
	counts := map[kind]int{}
	for _, v := range found {
		fmt.Fprintf(stdout, "%s:%d: %s\n", v.file, v.line, v.message)
		counts[v.kind]++
	}
	for _, l := range limits {
		fmt.Fprintf(stdout, "%s %s: %d\n", l.kind, l.limit, counts[l.kind])
	}
	if len(found) > 0 {
		return 1
	}
	return 0
}

// check finds everything in a module that breaks a limit, ordered by file and line.
func check(module fs.FS) (found []violation, err error) {
	words, err := readVocabulary(module)
	if err != nil {
		return nil, err
	}
	commands, files := 0, 0
	err = fs.WalkDir(module, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && leftOut(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		ext := path.Ext(name)
		if inTestdata := strings.Contains("/"+name, "/testdata/"); inTestdata && ext != ".txtar" || !prose(name) {
			return nil
		}
		text, err := fs.ReadFile(module, name)
		if err != nil {
			return err
		}
		if slices.Contains([]string{".go", ".sql", ".md"}, ext) {
			found = append(found, longLines(name, string(text))...)
		}
		if ext == ".md" {
			found = append(found, checkSentences(name, string(text))...)
		}
		if name != wordList { // which names the words that went
			found = append(found, words.check(name, string(text))...)
		}
		if ext != ".go" {
			return nil
		}
		files++
		if path.Dir(name) == commandFolder && !strings.HasSuffix(name, "_test.go") {
			commands += countLines(string(text))
		}
		large, err := checkGo(name, text)
		found = append(found, large...)
		return err
	})
	if err != nil {
		return nil, err
	}
	if files == 0 { // the folder is wrong, and would pass
		return nil, fmt.Errorf("found no Go file")
	}
	if commands > commandLines {
		message := fmt.Sprintf("%s has %d lines without its tests, more than %d", commandFolder, commands, commandLines)
		found = append(found, violation{largeCommand, commandFolder, 1, message})
	}
	slices.SortFunc(found, func(a, b violation) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line), strings.Compare(a.message, b.message))
	})
	return found, nil
}

// leftOut says whether a folder is left out: Go ignores it, or the build creates its files.
func leftOut(folder string) bool {
	return strings.HasPrefix(folder, ".") || strings.HasPrefix(folder, "_") ||
		slices.Contains([]string{"vendor", "node_modules", "bin", "results"}, folder)
}

func countLines(text string) int {
	n := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		n++
	}
	return n
}

func longLines(name, text string) (found []violation) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n")); n > lineLength {
			message := fmt.Sprintf("the line has %d characters, more than %d", n, lineLength)
			found = append(found, violation{longLine, name, number, message})
		}
	}
	return found
}

// checkGo finds what is too large in a Go file: the file itself, its functions and its structs.
func checkGo(name string, text []byte) (found []violation, err error) {
	if n := countLines(string(text)); n > fileLines {
		found = append(found, violation{largeFile, name, 1, fmt.Sprintf("the file has %d lines, more than %d", n, fileLines)})
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	line := func(p token.Pos) int { return set.PositionFor(p, false).Line }
	reasons := wideReasons(file)
	function := func(what string, from, to token.Pos) {
		if n := line(to) - line(from) + 1; n > functionLines {
			message := fmt.Sprintf("%s has %d lines, more than %d", what, n, functionLines)
			found = append(found, violation{largeFunction, name, line(from), message})
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl: // its type begins at the word func, after the doc comment
			function("func "+d.Name.Name, d.Type.Pos(), d.End())
		case *ast.GenDecl:
			outermostLiterals(d, func(l *ast.FuncLit) { function("a function without a name", l.Pos(), l.End()) })
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		s, is := node.(*ast.StructType)
		if !is || reasons[s] {
			return true
		}
		if fields := countFields(s); fields > structFields {
			message := fmt.Sprintf("a struct has %d fields, more than %d, and no line %q says why", fields, structFields, wideMark+"…")
			found = append(found, violation{wideStruct, name, line(s.Pos()), message})
		}
		return true
	})
	return found, nil
}

// outermostLiterals calls f for each function without a name, except for those inside another one.
func outermostLiterals(in ast.Node, f func(*ast.FuncLit)) {
	ast.Inspect(in, func(node ast.Node) bool {
		l, is := node.(*ast.FuncLit)
		if is {
			f(l)
		}
		return !is
	})
}

func countFields(s *ast.StructType) (n int) {
	for _, f := range s.Fields.List {
		n += max(len(f.Names), 1) // an embedded field has no name
	}
	return n
}

// wideReasons gives the structs whose doc comment says why they are wide. It is the comment of the type, variable or field to which the
// struct belongs.
func wideReasons(file *ast.File) map[*ast.StructType]bool {
	out := map[*ast.StructType]bool{}
	mark := func(of ast.Node, docs ...*ast.CommentGroup) {
		if !slices.ContainsFunc(docs, saysWhyWide) {
			return
		}
		ast.Inspect(of, func(node ast.Node) bool {
			s, is := node.(*ast.StructType)
			if is {
				out[s] = true
			}
			_, body := node.(*ast.BlockStmt)
			return !is && !body // a struct inside a struct or a function needs another reason
		})
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GenDecl:
			if !n.Lparen.IsValid() && len(n.Specs) == 1 {
				mark(n, n.Doc)
			}
		case *ast.TypeSpec:
			mark(n.Type, n.Doc)
		case *ast.ValueSpec:
			mark(n, n.Doc)
		case *ast.Field:
			if n.Type != nil {
				mark(n.Type, n.Doc)
			}
		}
		return true
	})
	return out
}

func saysWhyWide(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		reason, is := strings.CutPrefix(c.Text, wideMark)
		return is && strings.TrimSpace(reason) != ""
	})
}
