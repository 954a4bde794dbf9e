namespace Platform.GpuKernels.Devices;

/// <summary>
/// Slots of pinned memory, used in turn: while the device copies one, the host fills the next. A driver's copy from memory that is not
/// pinned goes through a staging area of its own and does not overlap.
/// </summary>
internal sealed unsafe class PinnedRing : IDisposable
{
    /// <summary>One slot: large enough that a copy runs at the bus's rate (about 0.2 ms of PCIe 4), small enough for many streams.</summary>
    public const int SlotBytes = 4 * 1024 * 1024;

    /// <summary>One is filled, one is copied, one is between.</summary>
    public const int Slots = 3;

    private readonly AcceleratorStream _stream;
    private readonly nint _memory;
    private readonly DeviceEvent?[] _passed = new DeviceEvent?[Slots];
    private int _next;

    public PinnedRing(AcceleratorStream stream)
    {
        _stream = stream;
        _memory = stream.AllocatePinned((long)SlotBytes * Slots);
    }

    public void Upload(ReadOnlySpan<byte> from, MemoryBuffer to, long atByte)
    {
        while (!from.IsEmpty)
        {
            var count = Math.Min(from.Length, SlotBytes);
            var slot = Take();
            from[..count].CopyTo(new Span<byte>((void*)Address(slot), count));
            _stream.UploadPinned(Address(slot), to, atByte, count);
            _passed[slot] = _stream.Record();
            from = from[count..];
            atByte += count;
        }
    }

    public void Download(MemoryBuffer from, long atByte, Span<byte> to)
    {
        // Copies are started as far ahead as there are slots, and emptied in the same order.
        var started = 0;
        var done = 0;
        var waiting = new Queue<(int Slot, int Count)>(Slots);
        while (done < to.Length)
        {
            while (started < to.Length && waiting.Count < Slots)
            {
                var count = Math.Min(to.Length - started, SlotBytes);
                var slot = Take();
                _stream.DownloadPinned(from, atByte + started, Address(slot), count);
                _passed[slot] = _stream.Record();
                waiting.Enqueue((slot, count));
                started += count;
            }

            var (oldest, bytes) = waiting.Dequeue();
            Pass(oldest);
            new ReadOnlySpan<byte>((void*)Address(oldest), bytes).CopyTo(to[done..]);
            done += bytes;
        }
    }

    public void Dispose()
    {
        // The device may still be copying from a slot.
        try { _stream.Synchronize(); }
        catch (DeviceException e) when (e.Failure == DeviceFailure.Lost) { /* A lost device copies nothing any more. */ }

        foreach (var passed in _passed) { passed?.Dispose(); }
        _stream.FreePinned(_memory);
    }

    private nint Address(int slot) => _memory + ((nint)slot * SlotBytes);

    private int Take()
    {
        var slot = _next;
        _next = (_next + 1) % Slots;
        Pass(slot);
        return slot;
    }

    private void Pass(int slot)
    {
        if (_passed[slot] is not { } passed) { return; }

        passed.Synchronize();
        passed.Dispose();
        _passed[slot] = null;
    }
}
