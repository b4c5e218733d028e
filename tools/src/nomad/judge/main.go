// Judges the stand-in for Nomad with Nomad's own client library: every shape has to parse, and to behave as its documentation
// says. NOMAD_ADDR as usual; a line a check, exit code 1 when any failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/nomad/api"
)

var failed int

func check(name string, err error) bool {
	if err != nil {
		failed++
		fmt.Println("FAIL", name+":", err)
		return false
	}
	fmt.Println("ok  ", name)
	return true
}

func must(ok bool, message string) error {
	if ok {
		return nil
	}
	return errors.New(message)
}

func main() {
	client, err := api.NewClient(api.DefaultConfig())
	check("a client", err)
	leader, err := client.Status().Leader()
	check("the leader is told", errors.Join(err, must(leader != "", "no leader")))

	token, _, err := client.ACLTokens().Bootstrap(nil)
	if check("ACLs are set up", err) {
		_, _, err = client.ACLTokens().Bootstrap(nil)
		check("but once", must(err != nil, "a second time was accepted"))
		_, _, err = client.Services().List(nil)
		check("without a token nothing is told", must(err != nil, "services were told"))
		client.SetSecretID(token.SecretID)
	}

	_, err = client.Namespaces().Register(&api.Namespace{Name: "team-a", Description: "x"}, nil)
	check("a namespace is made", err)
	namespaces, meta, err := client.Namespaces().List(nil)
	check("namespaces are listed", errors.Join(err, must(len(namespaces) == 2, "not two")))
	if err == nil {
		check("answers have their index", must(meta.LastIndex > 0 && meta.KnownLeader, "no index, or no leader"))
	}

	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	topics := map[api.Topic][]string{api.TopicService: {"*"}, api.TopicJob: {"*"}, api.TopicNode: {"*"}}
	events, err := client.EventStream().Stream(ctx, topics, 0, &api.QueryOptions{Namespace: "*"})
	if !check("events are streamed", err) {
		os.Exit(1)
	}

	check("a job is taken", register(client))
	registrations, index, err := waitFor(client, "web")
	if !check("a blocking query ends with its registrations", errors.Join(err, must(len(registrations) == 2, "not two instances"))) {
		os.Exit(1)
	}
	one := registrations[0]
	check("a registration has its place", must(one.Port > 0 && one.Address != "" && one.AllocID != "" && one.JobID == "judge" && one.NodeID != "", fmt.Sprintf("%+v", one)))
	check("it has its tags", must(len(one.Tags) == 2 && one.Tags[0] == "version=v1", fmt.Sprint(one.Tags)))
	check("answers of services have an index of their own", must(index > 0, "none"))

	lists, _, err := client.Services().List(&api.QueryOptions{Namespace: "*"})
	check("services of all namespaces are listed", errors.Join(err, must(len(lists) == 1 && lists[0].Services[0].ServiceName == "web", fmt.Sprint(lists))))
	allocations, _, err := client.Jobs().Allocations("judge", true, nil)
	check("allocations of a job are listed", errors.Join(err, must(len(allocations) == 2, "not two")))
	allocation, _, err := client.Allocations().Info(one.AllocID, nil)
	check("an allocation is told, with its job", errors.Join(err, must(allocation != nil && allocation.ClientStatus == "running" && allocation.Job != nil, "not running, or without its job")))
	checks, err := client.Allocations().Checks(one.AllocID, nil)
	check("checks of an allocation are told", errors.Join(err, must(len(checks) == 1, fmt.Sprint(checks))))
	for _, status := range checks {
		known := status.Status == "success" || status.Status == "failure" || status.Status == "pending"
		check("a check has its service and status", must(known && status.Service == "web", fmt.Sprintf("%+v", status)))
	}
	job, _, err := client.Jobs().Info("judge", nil)
	check("a job is told, with its services", errors.Join(err, must(job != nil && len(job.TaskGroups[0].Services[0].Checks) == 1, "no check in it")))
	node, _, err := client.Nodes().Info(one.NodeID, nil)
	check("a node is told", errors.Join(err, must(node != nil && node.ID == one.NodeID, "another node")))
	nodes, _, err := client.Nodes().List(nil)
	check("nodes are listed", errors.Join(err, must(len(nodes) > 0, "none")))

	check("a registration is an event", untilEvent(ctx, events, "ServiceRegistration"))
	_, _, err = client.Jobs().Deregister("judge", true, nil)
	check("a job is purged", err)
	check("its end is an event", untilEvent(ctx, events, "ServiceDeregistration"))
	gone, _, err := client.Services().Get("web", nil)
	check("what is gone is an empty list", errors.Join(err, must(len(gone) == 0, "something is left")))

	keys := map[string]any{}
	_, err = client.Raw().Query("/.well-known/jwks.json", &keys, nil)
	check("the keys of identities are told", errors.Join(err, must(len(keys) == 1, "no keys")))
	if failed > 0 {
		fmt.Println(failed, "failed")
		os.Exit(1)
	}
}

func register(client *api.Client) error {
	job := api.NewServiceJob("judge", "judge", "global", 50)
	task := api.NewTask("sleep", "raw_exec").SetConfig("command", "/bin/sleep").SetConfig("args", []string{"60"})
	task.Identities = []*api.WorkloadIdentity{{Name: "mesh", Audience: []string{"mesh.local"}, File: true, TTL: time.Hour}}
	group := api.NewTaskGroup("group", 2).AddTask(task)
	group.Networks = []*api.NetworkResource{{DynamicPorts: []api.Port{{Label: "http"}}}}
	group.Services = []*api.Service{{
		Name: "web", PortLabel: "http", Provider: "nomad", Tags: []string{"version=v1", "canary"},
		Checks: []api.ServiceCheck{{Name: "answers", Type: "tcp", Interval: time.Second, Timeout: time.Second}},
	}}
	job.AddTaskGroup(group).AddDatacenter("dc1")
	_, _, err := client.Jobs().Register(job, nil)
	return err
}

func waitFor(client *api.Client, service string) ([]*api.ServiceRegistration, uint64, error) {
	index := uint64(0)
	for started := time.Now(); time.Since(started) < 30*time.Second; {
		found, meta, err := client.Services().Get(service, &api.QueryOptions{WaitIndex: index, WaitTime: 5 * time.Second})
		if err != nil {
			return nil, 0, err
		}
		index = meta.LastIndex
		if len(found) > 1 {
			return found, index, nil
		}
	}
	return nil, index, errors.New("no registration")
}

func untilEvent(ctx context.Context, events <-chan *api.Events, kind string) error {
	for {
		select {
		case group, ok := <-events:
			if !ok {
				return errors.New("the stream ended")
			}
			if group.Err != nil {
				return group.Err
			}
			for _, event := range group.Events {
				service, err := event.Service()
				if event.Type == kind && err == nil && service != nil && service.ServiceName == "web" {
					return must(event.Key != "" && event.Index > 0, "it has no key, or no index")
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
