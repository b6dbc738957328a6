// Command client asks a vCenter what our adapters ask of one, by govmomi's own code, and prints what it got as JSON.
// It keeps our double of vCenter honest: both sides of that are pyVmomi's, and this is not.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/vapi/tags"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const snapshot = "by govmomi"

func main() {
	address := flag.String("url", "", "https://user:password@host:port/sdk")
	ca := flag.String("ca", "", "PEM file of its certificate")
	path := flag.String("vm", "", "inventory path of a virtual machine")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	where, err := soap.ParseURL(*address)
	must(err)
	connection := soap.NewClient(where, false)
	must(connection.SetRootCAs(*ca))
	client, err := vim25.NewClient(ctx, connection)
	must(err)
	login := session.NewManager(client)
	must(login.Login(ctx, where.User))

	index := *client.ServiceContent.SearchIndex
	found, err := methods.FindByInventoryPath(ctx, client, &types.FindByInventoryPath{This: index, InventoryPath: *path})
	must(err)
	ref := *found.Returnval
	_, err = methods.SendNMI(ctx, client, &types.SendNMI{This: ref})
	must(err)
	create := types.CreateSnapshot_Task{This: ref, Name: snapshot, Memory: true}
	task, err := methods.CreateSnapshot_Task(ctx, client, &create)
	must(err)

	var ended mo.Task
	for ended.Info.State != types.TaskInfoStateSuccess {
		ended = mo.Task{}
		read(ctx, client, task.Returnval, []string{"info"}, &ended)
		time.Sleep(20 * time.Millisecond)
	}
	var vm mo.VirtualMachine
	read(ctx, client, ref, []string{"name", "runtime", "config", "snapshot", "layoutEx"}, &vm)

	door := rest.NewClient(client)
	must(door.Login(ctx, where.User))
	attached, err := tags.NewManager(door).GetAttachedTagsOnObjects(ctx, []mo.Reference{ref})
	must(err)
	must(door.Logout(ctx))
	must(login.Logout(ctx))

	names := []string{}
	for _, each := range attached {
		for _, tag := range each.Tags {
			names = append(names, tag.Name)
		}
	}
	files := []string{}
	for _, file := range vm.LayoutEx.File {
		files = append(files, file.Type)
	}
	must(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"name":      vm.Name,
		"power":     vm.Runtime.PowerState,
		"uuid":      vm.Config.InstanceUuid,
		"snapshot":  vm.Snapshot.RootSnapshotList[0].Name,
		"is_result": ended.Info.Result == vm.Snapshot.RootSnapshotList[0].Snapshot,
		"files":     files,
		"tags":      names,
	}))
}

// read loads properties of one object.
func read(ctx context.Context, client *vim25.Client, ref types.ManagedObjectReference, paths []string, into interface{}) {
	spec := types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{Obj: ref}},
		PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: paths}},
	}
	page, err := methods.RetrievePropertiesEx(ctx, client, &types.RetrievePropertiesEx{
		This:    client.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{spec},
	})
	must(err)
	must(mo.LoadObjectContent(page.Returnval.Objects, into))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
