// A whole Kubernetes in one program, for Axon's tests: each subcommand is one
// unmodified component, built from its published module.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Constructors install signal handlers and panic when two are made, so only the
// one that was asked for is called.
var components = map[string]func() *cobra.Command{
	"etcd":                    etcd,
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(signals()) },
	"kubectl":                 cmd.NewDefaultKubectlCommand,
	"with":                    with,
	"with-node":               withNode,
	"node":                    node,
	"init":                    initProcess,
	"informer":                informer,
}

func main() {
	if len(os.Args) < 2 || components[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: cluster etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kubectl|with|with-node|informer ...")
		os.Exit(64)
	}
	command := components[os.Args[1]]
	os.Args = os.Args[1:]
	os.Exit(cli.Run(command()))
}

// etcd runs one member, configured by the YAML file that --config names.
func etcd() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:          "etcd",
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := embed.ConfigFromFile(file)
			if err != nil {
				return err
			}
			server, err := embed.StartEtcd(config)
			if err != nil {
				return err
			}
			defer server.Close()
			stop := signals()
			select {
			case <-server.Server.ReadyNotify():
			case <-stop.Done():
				return nil
			}
			select {
			case <-stop.Done():
				return nil
			case err := <-server.Err():
				return err
			}
		},
	}
	command.Flags().StringVar(&file, "config", "", "configuration file")
	return command
}

// signals is done when the process is asked to stop.
func signals() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	return ctx
}
