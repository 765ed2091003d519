package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"
)

// with runs a command beside a fresh control plane (etcd, kube-apiserver,
// kube-controller-manager) and takes the control plane down after it. The command finds
// AXON_TEST_KUBECONFIG, AXON_TEST_AUDIT_LOG and AXON_TEST_KUBECTL in its environment.
func with() *cobra.Command {
	return &cobra.Command{
		Use:                "with COMMAND...",
		SilenceUsage:       true,
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := os.MkdirTemp("", "axon-cluster-")
			if err != nil {
				return err
			}
			err = runWith(dir, args)
			if err == nil {
				return os.RemoveAll(dir)
			}
			fmt.Fprintln(os.Stderr, "logs of the control plane:", dir)
			return err
		},
	}
}

func runWith(dir string, args []string) error {
	plane, err := newPlane(dir, "127.0.0.1")
	if err != nil {
		return err
	}
	defer plane.stop()
	if err := plane.start(); err != nil {
		return err
	}
	return plane.command(args)
}

// command runs a program that is to find the cluster in its environment.
func (p *plane) command(args []string, env ...string) error {
	command := exec.CommandContext(signals(), args[0], args[1:]...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopLimit
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(append(os.Environ(),
		"AXON_TEST_KUBECONFIG="+p.at("kubeconfig"),
		"AXON_TEST_AUDIT_LOG="+p.at("audit.log"),
		"AXON_TEST_KUBECTL="+p.program+" kubectl"), env...)
	return command.Run()
}
