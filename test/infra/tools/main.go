// Answers, in JSON on standard output, what the programs that will read our files make of them: Docker Compose's own
// loader, BuildKit's own Dockerfile parser, and Helm's own renderer and linter. Refuses to judge; tests do that. Reaches
// no engine, no registry and no cluster.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func main() {
	answer, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) (any, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("usage: infra-tools compose|dockerfile|context|helm-lint|helm-template <path> [values file]…")
	}
	path, more := args[1], args[2:]
	switch args[0] {
	case "compose":
		return compose(path)
	case "dockerfile":
		return dockerfile(path)
	case "context":
		return buildContext(path, more)
	case "helm-lint":
		return helmLint(path, more)
	case "helm-template":
		return helmTemplate(path, more)
	}
	return nil, fmt.Errorf("there is no %s", args[0])
}

// The file as `docker compose config` would show it: checked against the schema, variables put in, defaults made explicit.
func compose(path string) (any, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithOsEnv, cli.WithInterpolation(true), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

type instruction struct {
	Line  int      `json:"line"`
	Name  string   `json:"name"`
	Flags []string `json:"flags,omitempty"`
	Words []string `json:"words"`
	JSON  bool     `json:"json,omitempty"`
}

type stage struct {
	Name         string        `json:"name"`
	Base         string        `json:"base"`
	Instructions []instruction `json:"instructions"`
}

// The stages with their instructions, and what BuildKit's linter says.
func dockerfile(path string) (any, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return nil, err
	}
	warnings := []string{}
	lint := linter.New(&linter.Config{
		Warn: func(rule, _, _, message string, _ []parser.Range) {
			warnings = append(warnings, rule+": "+message)
		},
	})
	// Checks what the parser alone does not: names of instructions, their flags and arguments.
	if _, _, err := instructions.Parse(parsed.AST, lint); err != nil {
		return nil, err
	}
	args := []instruction{}
	stages := []stage{}
	for _, node := range parsed.AST.Children {
		one := instruction{
			Words: []string{},
			Line:  node.StartLine,
			Name:  strings.ToUpper(node.Value),
			Flags: node.Flags,
			JSON:  node.Attributes["json"],
		}
		for next := node.Next; next != nil; next = next.Next {
			one.Words = append(one.Words, next.Value)
		}
		switch {
		case one.Name == "FROM":
			made := stage{Base: one.Words[0]}
			if len(one.Words) == 3 {
				made.Name = one.Words[2]
			}
			stages = append(stages, made)
		case len(stages) == 0:
			args = append(args, one)
		default:
			last := &stages[len(stages)-1]
			last.Instructions = append(last.Instructions, one)
		}
	}
	return map[string]any{"arguments": args, "stages": stages, "warnings": warnings}, nil
}

// Of these paths below a directory, those that its .dockerignore lets into a build.
func buildContext(directory string, paths []string) (any, error) {
	file, err := os.Open(filepath.Join(directory, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	sent := []string{}
	for _, path := range paths {
		ignored, err := matcher.MatchesOrParentMatches(filepath.FromSlash(path))
		if err != nil {
			return nil, err
		}
		if !ignored {
			sent = append(sent, path)
		}
	}
	return sent, nil
}

func valuesOf(files []string) (chartutil.Values, error) {
	given := chartutil.Values{}
	for _, file := range files {
		more, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return nil, err
		}
		given = chartutil.CoalesceTables(more, given)
	}
	return given, nil
}

const namespace = "custody"

var kubeVersion = chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}

func helmLint(path string, files []string) (any, error) {
	given, err := valuesOf(files)
	if err != nil {
		return nil, err
	}
	result := lint.AllWithKubeVersion(path, given, namespace, &kubeVersion)
	messages := []string{}
	failed := false
	for _, message := range result.Messages {
		messages = append(messages, message.Error())
		failed = failed || message.Severity >= support.WarningSev
	}
	return map[string]any{"messages": messages, "failed": failed}, nil
}

// What `helm template` prints, file by file; the values are checked against the chart's schema.
func helmTemplate(path string, files []string) (any, error) {
	given, err := valuesOf(files)
	if err != nil {
		return nil, err
	}
	chart, err := loader.Load(path)
	if err != nil {
		return nil, err
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = kubeVersion
	if !chartutil.IsCompatibleRange(chart.Metadata.KubeVersion, kubeVersion.Version) {
		return nil, fmt.Errorf("the chart is not for Kubernetes %s", kubeVersion.Version)
	}
	release := chartutil.ReleaseOptions{Name: "custody", Namespace: namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, given, release, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(chart, values)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(rendered))
	for name := range rendered {
		names = append(names, name)
	}
	sort.Strings(names)
	manifest, notes := "", ""
	for _, name := range names {
		if strings.HasSuffix(name, "NOTES.txt") {
			notes += rendered[name]
		} else if strings.TrimSpace(rendered[name]) != "" {
			manifest += "\n---\n# Source: " + name + "\n" + rendered[name]
		}
	}
	return map[string]any{"manifest": manifest, "notes": notes}, nil
}
