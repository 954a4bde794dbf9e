namespace Platform.GpuKernels.Devices;

/// <summary>A device is not used any more, because it failed; its work is done on the CPU from here on.</summary>
/// <param name="Device">Which.</param>
/// <param name="Failure">What kind of failure it was.</param>
/// <param name="Reason">The driver's call, its error and what that means.</param>
public sealed record DeviceSetAside(DeviceInfo Device, DeviceFailure Failure, string Reason);

/// <summary>
/// Work that a device does as long as it can, and the CPU otherwise: the batch in which a device fails is done again on the CPU, the device is
/// set aside, and whoever listens is told. Nobody who asks for a batch sees the failure.
/// </summary>
/// <typeparam name="T">What is loaded on the device, such as an encoder's weights.</typeparam>
/// <param name="device">Which device, for the report.</param>
/// <param name="open">Opens it; called at the first batch.</param>
/// <param name="load">Loads what the work needs; called once after that.</param>
/// <param name="setAside">Told once, on the thread whose batch failed.</param>
internal sealed class DeviceWork<T>(DeviceInfo device, Func<Accelerator> open, Func<Accelerator, T> load, Action<DeviceSetAside> setAside) : IDisposable
    where T : class, IDisposable
{
    /// <summary>What hangs is kept, so that nobody tries to free it.</summary>
    private static readonly System.Collections.Concurrent.ConcurrentBag<object?> Abandoned = [];

    private readonly Lock _turn = new();
    private Accelerator? _accelerator;
    private T? _loaded;
    private volatile bool _aside;

    /// <summary>Whether the device failed and is not used any more.</summary>
    public bool IsSetAside => _aside;

    /// <summary>One batch: on the device, or on the CPU. Batches on the device take turns; those on the CPU do not.</summary>
    public TResult Run<TResult>(Func<T, TResult> onDevice, Func<TResult> onCpu)
    {
        if (!_aside)
        {
            DeviceSetAside? failed = null;
            lock (_turn)
            {
                if (!_aside)
                {
                    try
                    {
                        _accelerator ??= open();
                        _loaded ??= load(_accelerator);
                        return onDevice(_loaded);
                    }
                    catch (DeviceException e)
                    {
                        _aside = true;
                        failed = new DeviceSetAside(device, e.Failure, e.Message);
                        if (e.Failure == DeviceFailure.Silent) { Abandon(); }
                        else { Release(); }
                    }
                }
            }

            if (failed is not null) { setAside(failed); }
        }

        return onCpu();
    }

    public void Dispose()
    {
        lock (_turn)
        {
            _aside = true;
            Release();
        }
    }

    private void Abandon()
    {
        Abandoned.Add(_loaded);
        Abandoned.Add(_accelerator);
        (_loaded, _accelerator) = (null, null);
    }

    private void Release()
    {
        // A device that failed may fail at every call, also at those that free; the driver frees all with the context.
        foreach (var one in (IDisposable?[])[_loaded, _accelerator])
        {
            try { one?.Dispose(); }
            catch (DeviceException) { /* The failure that counts has been reported. */ }
        }

        (_loaded, _accelerator) = (null, null);
    }
}
