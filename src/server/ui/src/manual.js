// Prism looks for code on the page when it is loaded, unless it is told before that it need not.
globalThis.Prism = { manual: true, disableWorkerMessageHandler: true };
