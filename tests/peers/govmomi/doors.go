package main

import (
	"bytes"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// doorType is the type of the objects that take SendNMI. The simulator's virtual machines cannot be replaced by types
// of ours: its own code for snapshots asks for exactly its type. So a call of SendNMI is led to the object of this
// type that has the machine's id. The simulator still reads the call, checks the session and writes the answer.
// Clients know the type, which a fault may name.
const doorType = "DiagnosticManager"

// door takes the NMIs of one virtual machine.
type door struct {
	mo.DiagnosticManager
	vm     types.ManagedObjectReference
	counts *counts
}

// SendNMI is synchronous and has no result; a machine that is not on refuses it.
func (d *door) SendNMI(*types.SendNMI) soap.HasFault {
	body := new(methods.SendNMIBody)
	vm := simulator.Map.Get(d.vm).(*simulator.VirtualMachine)
	if state := vm.Runtime.PowerState; state != types.VirtualMachinePowerStatePoweredOn {
		body.Fault_ = simulator.Fault("The attempted operation cannot be performed.", &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOn,
			ExistingState:  state,
		})
		return body
	}
	d.counts.add(d.vm.Value)
	body.Res = new(types.SendNMIResponse)
	return body
}

// lead sends a call of SendNMI to the machine's door.
func lead(call []byte) []byte {
	return bytes.Replace(call, []byte(`type="VirtualMachine"`), []byte(`type="`+doorType+`"`), 1)
}

// index is the simulator's search index with the method that its version lacks (since API 4.0).
type index struct {
	simulator.SearchIndex
}

// FindAllByUuid finds virtual machines by their BIOS or their instance UUID.
func (*index) FindAllByUuid(req *types.FindAllByUuid) soap.HasFault {
	body := &methods.FindAllByUuidBody{Res: new(types.FindAllByUuidResponse)}
	for _, vm := range machines() {
		uuid := vm.Config.Uuid
		if req.InstanceUuid != nil && *req.InstanceUuid {
			uuid = vm.Config.InstanceUuid
		}
		if req.VmSearch && uuid == req.Uuid {
			body.Res.Returnval = append(body.Res.Returnval, vm.Self)
		}
	}
	return body
}

// openDoors puts a door beside every machine, and our search index in place of the simulator's.
func (f *front) openDoors() {
	for _, vm := range machines() {
		opened := &door{vm: vm.Self, counts: &f.nmis}
		opened.Self = types.ManagedObjectReference{Type: doorType, Value: vm.Self.Value}
		simulator.Map.Put(opened)
	}
	content := simulator.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content
	search := simulator.Map.Get(*content.SearchIndex).(*simulator.SearchIndex)
	simulator.Map.Put(&index{*search})
}

func machines() []*simulator.VirtualMachine {
	var found []*simulator.VirtualMachine
	for _, each := range simulator.Map.All("VirtualMachine") {
		found = append(found, each.(*simulator.VirtualMachine))
	}
	return found
}

// snapshots counts by name those that exist, on all machines.
func snapshots() map[string]int {
	found := map[string]int{}
	var walk func([]types.VirtualMachineSnapshotTree)
	walk = func(trees []types.VirtualMachineSnapshotTree) {
		for _, tree := range trees {
			found[tree.Name]++
			walk(tree.ChildSnapshotList)
		}
	}
	for _, vm := range machines() {
		if vm.Snapshot != nil {
			walk(vm.Snapshot.RootSnapshotList)
		}
	}
	return found
}

// counts is a table of numbers that many may add to.
type counts struct {
	lock sync.Mutex
	by   map[string]int
}

func (c *counts) add(key string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.by == nil {
		c.by = map[string]int{}
	}
	c.by[key]++
}

func (c *counts) copy() map[string]int {
	c.lock.Lock()
	defer c.lock.Unlock()
	taken := map[string]int{}
	for key, number := range c.by {
		taken[key] = number
	}
	return taken
}
