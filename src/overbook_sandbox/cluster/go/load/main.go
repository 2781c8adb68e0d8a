// A container's work, as overbook_sandbox/demo/load.py is a process's: it allocates memory, keeps a part of it hot, and
// runs wild on SIGUSR1. Called with no arguments it only waits, as a pod's sandbox does.
//
// Memory is mapped by hand, so that Go's collector never looks at it.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	page = 4096
	mib  = 1 << 20
	// The paced work: a unit each tenth of a second, as long as the node lets it.
	unit = 100 * time.Millisecond
	// In how many units all of the hot memory is touched once.
	slices = 10
	// How fast cold memory comes beside the hot, as in a guest that fills its caches.
	growthMiB   = 2
	wildStepMiB = 12
)

func main() {
	hot := flag.Int("hot", 0, "MiB touched over and over")
	cold := flag.Int("cold", 0, "MiB touched once")
	burst := flag.Int("burst", 0, "MiB touched once, before anything else")
	delay := flag.Duration("delay", 0, "wait for so long before anything is touched")
	wild := flag.Bool("wild", false, "run wild as soon as all is touched")
	pace := flag.String("pace", "", "file that counts finished units: their number, and the seconds since boot")
	flag.Parse()

	debug.SetGCPercent(-1)
	touch(take(*burst))
	// One thread may stand still in a page fault while the other still hears SIGTERM.
	runtime.GOMAXPROCS(2)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	angered := make(chan os.Signal, 1)
	signal.Notify(angered, syscall.SIGUSR1)
	time.Sleep(*delay)
	if *hot+*cold == 0 {
		<-ended
		return
	}
	go func() {
		<-ended
		os.Exit(0)
	}()
	var angry atomic.Bool
	go func() {
		<-angered
		angry.Store(true)
	}()
	work(*hot, *cold, counter(*pace), func(all bool) bool { return angry.Load() || (*wild && all) })
}

// work touches memory at its pace until it is time to run wild.
func work(hot, cold int, counter []byte, angry func(all bool) bool) {
	memory := take(hot + cold)
	touch(memory[:hot*mib])
	slice := max(1, hot/slices) * mib
	grown := hot
	due := time.Now()
	for done := 0; !angry(grown >= hot+cold); {
		start := done % slices * slice
		touch(memory[min(start, hot*mib):min(start+slice, hot*mib)])
		if grown < hot+cold {
			next := min(grown+growthMiB, hot+cold)
			touch(memory[grown*mib : next*mib])
			grown = next
		}
		done++
		count(counter, done)
		// Work that could not be done in time is not made up for: a second stood still stays lost.
		now := time.Now()
		if due = due.Add(unit); due.Before(now) {
			due = now
		}
		time.Sleep(due.Sub(now))
	}
	runWild(memory[:grown*mib])
}

// runWild touches everything, again and again, and takes more each time.
func runWild(memory []byte) {
	pieces := [][]byte{memory}
	for {
		pieces = append(pieces, take(wildStepMiB))
		for _, piece := range pieces {
			touch(piece)
		}
		time.Sleep(unit / 2)
	}
}

// take reserves memory of the kind that a guest's RAM is: anonymous and private.
func take(size int) []byte {
	if size == 0 {
		return nil
	}
	memory, err := syscall.Mmap(-1, 0, size*mib, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	fail(err)
	return memory
}

// touch writes a byte to every page.
func touch(memory []byte) {
	for at := 0; at < len(memory); at += page {
		memory[at] = 1
	}
}

// counter maps a page of a file that whoever wants to see how the work goes can read.
func counter(path string) []byte {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	fail(err)
	fail(file.Truncate(page))
	memory, err := syscall.Mmap(int(file.Fd()), 0, page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	fail(err)
	return memory
}

// count writes what load.py writes: a 64-bit number of units, then a double of monotonic seconds.
func count(counter []byte, done int) {
	if counter == nil {
		return
	}
	binary.LittleEndian.PutUint64(counter, uint64(done))
	binary.LittleEndian.PutUint64(counter[8:], math.Float64bits(monotonic()))
}

// monotonic reads the clock that Python's time.monotonic reads.
func monotonic() float64 {
	var now syscall.Timespec
	const clockMonotonic = 1
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		fail(errno)
	}
	return float64(now.Sec) + float64(now.Nsec)/1e9
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
