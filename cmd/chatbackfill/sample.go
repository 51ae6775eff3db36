package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs/examples"
)

func (a *app) sampleCommand() *cobra.Command {
	var conversations int
	var seed uint64
	c := &cobra.Command{
		Use:   "sample OUT.parquet",
		Short: "Write a made-up chat export to try things on",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(fmt.Errorf("%s takes one file to write, not %d", c.CommandPath(), len(args)), c.CommandPath()+" chats.parquet")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return a.writeSample(args[0], conversations, seed)
		},
	}
	c.Flags().IntVar(&conversations, "conversations", 2000, "how many conversations")
	c.Flags().Uint64Var(&seed, "seed", 1, "the same seed gives the same export")
	return c
}

// writeSample writes the export into a file that must not exist yet.
func (a *app) writeSample(path string, conversations int, seed uint64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usageError(fmt.Errorf("write %s: it exists already", path), "another name")
	}
	if err != nil {
		return usageError(err, "a path that this user can write")
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := examples.Write(f, conversations, seed, nil); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	fmt.Fprintf(a.out, "wrote %s: %s\n", path, count(conversations, "conversation", "conversations"))
	return nil
}
