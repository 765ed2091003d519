package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// cgroups of a node are below this name and the id of the process that removes them.
const cgroupPrefix = "axon-node-"

// withNode runs a command beside a whole cluster of one node. All of it, the command too, lives in
// namespaces of its own (processes, mounts, network): when the first process in there goes, for
// whatever reason, the kernel takes all the rest, and no mount, interface or rule was ever on the
// machine itself.
func withNode() *cobra.Command {
	var images []string
	command := &cobra.Command{
		Use:          "with-node [--image ARCHIVE]... COMMAND...",
		SilenceUsage: true,
		Args:         cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := os.MkdirTemp("", "axon-node-")
			if err != nil {
				return err
			}
			inside := []string{"node", "--dir=" + dir}
			for _, image := range images {
				inside = append(inside, "--image="+image)
			}
			err = sandboxed(append(append(inside, "--"), args...))
			os.RemoveAll(filepath.Join(dir, stateDir))
			if err == nil {
				return os.RemoveAll(dir)
			}
			fmt.Fprintln(os.Stderr, "logs of the cluster:", dir)
			return err
		},
	}
	command.Flags().SetInterspersed(false)
	command.Flags().StringArrayVar(&images, "image", nil, "docker archive that the node is to have")
	return command
}

// sandboxed runs this program with other arguments in the namespaces, and cleans up after it.
func sandboxed(args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	sweepCgroups()
	defer sweepCgroups()
	defer removeCgroups(os.Getpid())
	cgroup, err := makeCgroups()
	if err != nil {
		return err
	}
	// The death signal comes when this thread ends, not this process.
	runtime.LockOSThread()
	first := exec.Command(program, append([]string{"init", program}, args...)...)
	first.Stdin, first.Stdout, first.Stderr = os.Stdin, os.Stdout, os.Stderr
	first.Env = append(os.Environ(), cgroupVariable+"="+cgroup)
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	if err := first.Start(); err != nil {
		return fmt.Errorf("cannot make the namespaces (this needs root): %w", err)
	}
	go func() {
		for range told {
			first.Process.Signal(syscall.SIGTERM)
		}
	}()
	return first.Wait()
}

// initProcess is the first process of a process namespace: it runs one command and collects
// whatever else ends.
func initProcess() *cobra.Command {
	return &cobra.Command{
		Use:                "init PROGRAM ARGUMENT...",
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			told := make(chan os.Signal, 1)
			signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
			files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
			child, err := os.StartProcess(args[0], args, &os.ProcAttr{Files: files})
			if err != nil {
				return err
			}
			go func() {
				for range told {
					child.Signal(syscall.SIGTERM)
				}
			}()
			for {
				var status syscall.WaitStatus
				ended, err := syscall.Wait4(-1, &status, 0, nil)
				if err != nil && !errors.Is(err, syscall.EINTR) {
					return err
				}
				if ended == child.Pid {
					os.Exit(status.ExitStatus())
				}
			}
		},
	}
}

// cgroupRoots are the mounted hierarchies: one for each controller, or the unified one.
func cgroupRoots() []string {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}
	}
	roots, _ := filepath.Glob(filepath.Join(root, "*"))
	return roots
}

// makeCgroups makes the cgroup that all of a node's Pods are below.
func makeCgroups() (string, error) {
	name := cgroupPrefix + strconv.Itoa(os.Getpid())
	for _, root := range cgroupRoots() {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return "/" + name, nil
}

// sweepCgroups removes the cgroups that killed runs left behind.
func sweepCgroups() {
	for _, root := range cgroupRoots() {
		left, _ := filepath.Glob(filepath.Join(root, cgroupPrefix+"*"))
		for _, dir := range left {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix))
			if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
				removeCgroups(pid)
			}
		}
	}
}

// removeCgroups removes the cgroups of one node, the deepest first. Where a process is still on its
// way out the kernel refuses; the next run sweeps that.
func removeCgroups(pid int) {
	for _, root := range cgroupRoots() {
		var dirs []string
		filepath.WalkDir(filepath.Join(root, cgroupPrefix+strconv.Itoa(pid)),
			func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		for i := len(dirs) - 1; i >= 0; i-- {
			syscall.Rmdir(dirs[i])
		}
	}
}
