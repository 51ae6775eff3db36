package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) scheduleCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "schedule JOB.yaml...",
		Short: "Run jobs on their schedules until told to stop",
		Long: "schedule runs each job whenever its schedule comes. What came and what became of it is in the job's state\n" +
			"store: a slot is run once even with several of these daemons, and slots that were missed are made up for by\n" +
			"one run. SIGHUP reads the job files again; SIGTERM lets runs end or checkpoint, a second one stops at once.",
		Args: someJobs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.schedule(c.Context(), args, listen)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9090", "address of /healthz, /readyz and /metrics; empty: none")
	return c
}

// someJobs is the argument check of commands that take job files.
func someJobs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(fmt.Errorf("%s takes job files", c.CommandPath()), c.CommandPath()+" JOB.yaml")
	}
	return nil
}

func (a *app) schedule(ctx context.Context, files []string, listen string) error {
	load := func(path string) (*jobs.Spec, error) { return a.loadSpec(path) }
	scheduler, err := jobs.NewScheduler(files, load, a.log, programVersion())
	if err != nil {
		return err
	}
	closeServer, err := a.serve(listen, scheduler.Handler())
	if err != nil {
		return err
	}
	stop, release := a.signals(scheduler)
	err = scheduler.Run(ctx, stop)
	release()
	return errors.Join(err, closeServer())
}

// serve answers HTTP on an address until the function that it returns is called.
func (a *app) serve(address string, handler http.Handler) (closeServer func() error, err error) {
	if address == "" {
		return func() error { return nil }, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usageError(err, "--listen 127.0.0.1:0, or another port")
	}
	a.log.Info("listening", "address", listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			server.Close() // whoever still asks is not waited for
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		return nil
	}, nil
}

// signals returns a channel that is closed by the first SIGINT or SIGTERM; the
// second ends the program at once. SIGHUP reads the job files again.
func (a *app) signals(scheduler *jobs.Scheduler) (stop <-chan struct{}, release func()) {
	stopping, done := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		told := false
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				switch {
				case s == syscall.SIGHUP:
					scheduler.Reload()
				case told:
					os.Exit(jobs.ExitInterrupted)
				default:
					a.log.Info("stopping: runs under way end or checkpoint; a second signal stops at once")
					told = true
					close(stopping)
				}
			}
		}
	}()
	return stopping, func() {
		signal.Stop(signals)
		close(done)
	}
}
