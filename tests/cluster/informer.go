package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// informer tells, a line each, what client-go's shared informer sees of the ConfigMaps of a
// namespace, until it is stopped.
func informer() *cobra.Command {
	var kubeconfig, namespace string
	var resync time.Duration
	command := &cobra.Command{
		Use:          "informer",
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithNamespace(namespace))
			maps := factory.Core().V1().ConfigMaps().Informer()
			_, err = maps.AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc: func(object any) { tell("add", object) },
				UpdateFunc: func(before, object any) {
					kind := "update"
					if before.(*v1.ConfigMap).ResourceVersion == object.(*v1.ConfigMap).ResourceVersion {
						kind = "resync"
					}
					tell(kind, object)
				},
				DeleteFunc: func(object any) { tell("delete", object) },
			})
			if err != nil {
				return err
			}
			stop := signals().Done()
			factory.Start(stop)
			if cache.WaitForCacheSync(stop, maps.HasSynced) {
				fmt.Println("synced")
			}
			<-stop
			return nil
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the server")
	command.Flags().StringVar(&namespace, "namespace", "", "whose ConfigMaps are watched")
	command.Flags().DurationVar(&resync, "resync", 0, "how often everything is told again")
	return command
}

func tell(kind string, object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	it := object.(*v1.ConfigMap)
	// A ConfigMap that a cluster makes by itself.
	if it.Name != "kube-root-ca.crt" {
		fmt.Println(kind, it.Name, it.Data["n"])
	}
}
