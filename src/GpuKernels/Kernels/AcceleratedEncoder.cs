using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// An encoder on the device of this machine, and on the CPU where the device cannot run the model or the pooling, or has failed: its callers get
/// their vectors either way. Safe for several threads.
/// </summary>
internal sealed class AcceleratedEncoder : IDisposable
{
    /// <summary>The least cosine of a vector of the device and the CPU's. In bf16 it is above 0.9995 for models that were tried; a kernel that is wrong is far from that.</summary>
    private const double LeastCosine = 0.99;

    /// <summary>What a device may take for the batches that it is compared by: a thousand times what they need.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TransformerEncoder _cpu;
    private readonly DeviceWork<DeviceEncoder>? _device;

    /// <param name="cpu">The model on the CPU; not disposed of here.</param>
    /// <param name="device">The device, or null for the CPU alone.</param>
    /// <param name="open">Opens the device; called at the first batch, as is <paramref name="weights"/>.</param>
    /// <param name="weights">The model's file, which is read once and closed.</param>
    /// <param name="setAside">Told once if the device fails.</param>
    public AcceleratedEncoder(TransformerEncoder cpu, DeviceInfo? device, Func<Accelerator> open, Func<Safetensors> weights, Action<DeviceSetAside> setAside)
    {
        _cpu = cpu;
        Refusal = DeviceEncoder.Refuse(cpu.Config);
        if (device is null || device.Kind == DeviceKind.Cpu || Refusal is not null) { return; }

        _device = new DeviceWork<DeviceEncoder>(
            device,
            open,
            accelerator =>
            {
                using var file = weights();
                var encoder = new DeviceEncoder(accelerator, cpu.Config, file);
                try { Compare(cpu, encoder, accelerator.Info); }
                catch (Exception e) when (e is not DeviceException { Failure: DeviceFailure.Silent })
                {
                    encoder.Dispose();
                    throw;
                }

                return encoder;
            },
            setAside);
    }

    /// <summary>Why the model runs on the CPU only; null where a device can run it.</summary>
    public string? Refusal { get; }

    /// <summary>Whether the next batch will be tried on a device.</summary>
    public bool IsOnDevice => _device is { IsSetAside: false };

    /// <summary>One vector for each sequence; the parameters are those of <see cref="DeviceEncoder.Encode"/>.</summary>
    /// <param name="threads">At most so many at a time, where it is done on the CPU.</param>
    public void Encode(int[] ids, int[] starts, PoolingMode pooling, bool normalise, float[] vectors, int threads, CancellationToken cancellation)
    {
        bool OnCpu()
        {
            var width = _cpu.Config.HiddenSize;
            unsafe
            {
                _cpu.Encode(ids, starts, threads, (sequence, states, tokens) =>
                {
                    var vector = vectors.AsSpan(sequence * width, width);
                    Pooling.Pool(pooling, states, _cpu.Stride, tokens, vector);
                    if (normalise) { Pooling.Normalise(vector); }
                }, cancellation);
            }

            return true;
        }

        if (_device is null || DeviceEncoder.Pooling(pooling) is not { } rows) { OnCpu(); }
        else
        {
            _device.Run(
                encoder =>
                {
                    cancellation.ThrowIfCancellationRequested();
                    encoder.Encode(ids, starts, rows, normalise, vectors);
                    return true;
                },
                OnCpu);
        }
    }

    public void Dispose() => _device?.Dispose();

    /// <summary>
    /// Compares vectors of a few sequences, in a small batch and in one that goes by other kernels, with the CPU's: cards and drivers differ, and vectors that are
    /// wrong would be found in searches only, and late.
    /// </summary>
    /// <exception cref="DeviceException">They differ, or the device failed or does not answer.</exception>
    private static void Compare(TransformerEncoder cpu, DeviceEncoder device, DeviceInfo info)
    {
        int[] lengths = [.. ((int[])[1, 9, 150]).Select(length => Math.Min(length, cpu.Config.MaxTokens))];
        int[] starts = [0, .. lengths.Select((_, i) => lengths[..(i + 1)].Sum())];
        int[] ids = [.. Enumerable.Range(0, starts[^1]).Select(i => (int)(i * 2_654_435_761L % cpu.Config.Vocabulary))];
        var width = cpu.Config.HiddenSize;
        var expected = new float[lengths.Length][];
        unsafe
        {
            cpu.Encode(ids, starts, Environment.ProcessorCount, (sequence, states, tokens) =>
            {
                var vector = new float[width];
                Pooling.Pool(PoolingMode.Mean, states, cpu.Stride, tokens, vector);
                Pooling.Normalise(vector);
                expected[sequence] = vector;
            }, CancellationToken.None);
        }

        foreach (var times in (int[])[1, .. device.OtherKernelsFrom is { } from ? (int[])[(from / ids.Length) + 1] : []])
        {
            int[] allIds = [.. Enumerable.Range(0, times).SelectMany(_ => ids)];
            int[] allStarts = [0, .. Enumerable.Range(0, times).SelectMany(time => starts[1..].Select(start => (time * ids.Length) + start))];
            var found = new float[times * lengths.Length * width];
            var work = Task.Factory.StartNew(() => device.Encode(allIds, allStarts, RowPooling.Mean, normalise: true, found), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            try
            {
                if (!work.Wait(Patience)) { throw new DeviceException(DeviceFailure.Silent, "a first batch", 0, "NO_ANSWER", $"{info.Name} did not end {allIds.Length} tokens within {Patience.TotalSeconds:0} seconds."); }
            }
            catch (AggregateException e) { System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e.InnerExceptions[0]); }

            for (var i = 0; i < times * lengths.Length; i++)
            {
                var vector = found[(i * width)..((i + 1) * width)];
                var cosine = expected[i % lengths.Length].Zip(vector, (one, other) => (double)one * other).Sum();
                if (!(cosine >= LeastCosine))
                {
                    throw new DeviceException(DeviceFailure.Wrong, "a first batch", 0, "WRONG_RESULT", $"{info.Name} computes something else than the CPU: of {allIds.Length} tokens, the vector of sequence {i}, {lengths[i % lengths.Length]} tokens long, has the cosine {cosine:0.0000} with the CPU's.");
                }
            }
        }
    }
}
