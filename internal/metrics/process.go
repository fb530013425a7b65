package metrics

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// What Prometheus' own libraries tell of a Go program, by the same names.
var (
	goInfo       = family{"go_info", "Information about the Go environment.", kindGauge, []string{"version"}}
	goRoutines   = family{"go_goroutines", "Number of goroutines that currently exist.", kindGauge, nil}
	goThreads    = family{"go_threads", "Number of OS threads created.", kindGauge, nil}
	goCollection = family{"go_gc_duration_seconds", "A summary of the wall-time pause (stop-the-world) duration in garbage collection cycles.", kindSummary, nil}
	goAlloc      = family{"go_memstats_alloc_bytes", "Number of bytes allocated in heap and currently in use.", kindGauge, nil}
	goAllocTotal = family{"go_memstats_alloc_bytes_total", "Total number of bytes allocated in heap until now, even if released already.", kindCounter, nil}
	goMallocs    = family{"go_memstats_mallocs_total", "Total number of heap objects allocated, both live and gc-ed.", kindCounter, nil}
	goFrees      = family{"go_memstats_frees_total", "Total number of heap objects frees.", kindCounter, nil}
	goSys        = family{"go_memstats_sys_bytes", "Number of bytes obtained from system.", kindGauge, nil}
	goHeapSys    = family{"go_memstats_heap_sys_bytes", "Number of heap bytes obtained from system.", kindGauge, nil}
	goHeapAlloc  = family{"go_memstats_heap_alloc_bytes", "Number of heap bytes allocated and currently in use.", kindGauge, nil}
	goHeapInuse  = family{"go_memstats_heap_inuse_bytes", "Number of heap bytes that are in use.", kindGauge, nil}
	goHeapIdle   = family{"go_memstats_heap_idle_bytes", "Number of heap bytes waiting to be used.", kindGauge, nil}
	goReleased   = family{"go_memstats_heap_released_bytes", "Number of heap bytes released to OS.", kindGauge, nil}
	goObjects    = family{"go_memstats_heap_objects", "Number of currently allocated objects.", kindGauge, nil}
	goStack      = family{"go_memstats_stack_inuse_bytes", "Number of bytes obtained from system for stack allocator.", kindGauge, nil}
	goNext       = family{"go_memstats_next_gc_bytes", "Number of heap bytes when next garbage collection will take place.", kindGauge, nil}
	goLast       = family{"go_memstats_last_gc_time_seconds", "Number of seconds since 1970 of last garbage collection.", kindGauge, nil}

	processCPU      = family{"process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", kindCounter, nil}
	processOpen     = family{"process_open_fds", "Number of open file descriptors.", kindGauge, nil}
	processMost     = family{"process_max_fds", "Maximum number of open file descriptors.", kindGauge, nil}
	processVirtual  = family{"process_virtual_memory_bytes", "Virtual memory size in bytes.", kindGauge, nil}
	processResident = family{"process_resident_memory_bytes", "Resident memory size in bytes.", kindGauge, nil}
	processStart    = family{"process_start_time_seconds", "Start time of the process since unix epoch in seconds.", kindGauge, nil}
)

var began = time.Now()

// runtimeMetrics tell of the Go runtime.
func runtimeMetrics(emit func(*family, sample)) {
	tell := func(f *family, v float64) { emit(f, sample{value: v}) }
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	emit(&goInfo, sample{labels: []string{runtime.Version()}, value: 1})
	tell(&goRoutines, float64(runtime.NumGoroutine()))
	threads, _ := runtime.ThreadCreateProfile(nil)
	tell(&goThreads, float64(threads))
	emit(&goCollection, sample{suffix: "_sum", value: time.Duration(m.PauseTotalNs).Seconds()})
	emit(&goCollection, sample{suffix: "_count", value: float64(m.NumGC)})
	for f, n := range map[*family]uint64{
		&goAlloc: m.Alloc, &goAllocTotal: m.TotalAlloc, &goMallocs: m.Mallocs, &goFrees: m.Frees, &goSys: m.Sys,
		&goHeapSys: m.HeapSys, &goHeapAlloc: m.HeapAlloc, &goHeapInuse: m.HeapInuse, &goHeapIdle: m.HeapIdle, &goReleased: m.HeapReleased,
		&goObjects: m.HeapObjects, &goStack: m.StackInuse, &goNext: m.NextGC,
	} {
		tell(f, float64(n))
	}
	tell(&goLast, float64(m.LastGC)/1e9)
}

// processMetrics tell of the process what Linux says of it (proc(5)); elsewhere its start alone.
func processMetrics(emit func(*family, sample)) {
	tell := func(f *family, v float64) { emit(f, sample{value: v}) }
	tell(&processStart, float64(began.UnixMilli())/1000)
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	_, after, _ := strings.Cut(string(stat), ") ") // behind the name of the program
	fields := strings.Fields(after)
	if len(fields) < 22 {
		return
	}
	field := func(n int) float64 { // by the number of proc(5)
		v, _ := strconv.ParseFloat(fields[n-3], 64)
		return v
	}
	const ticks = 100 // a second, on all of Linux's ports that Go has
	tell(&processCPU, (field(14)+field(15))/ticks)
	tell(&processVirtual, field(23))
	tell(&processResident, field(24)*float64(os.Getpagesize()))
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		tell(&processOpen, float64(len(open)))
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	_, after, _ = strings.Cut(string(limits), "Max open files")
	if f := strings.Fields(after); len(f) > 0 {
		if most, err := strconv.ParseFloat(f[0], 64); err == nil {
			tell(&processMost, most)
		}
	}
}
