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
                return new DeviceEncoder(accelerator, cpu.Config, file);
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
}
