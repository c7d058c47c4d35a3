package engine

import "wb/collect/client"

// readModelFile reads the model's file, where it lies on this machine.
func (f *Facts) readModelFile(c *client.Client) {}
