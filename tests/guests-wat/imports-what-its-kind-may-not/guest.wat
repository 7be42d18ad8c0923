;; Is a connector and wants to call the bot's other connectors, which only intent plugins may. It is not loaded.
(component
  (import "confab:plugin/call@1.0.0" (instance))
  (instance $offers)
  (export "confab:capabilities/leads@1.0.0" (instance $offers)))
