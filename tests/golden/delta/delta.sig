{
 "signatures": [
  {
   "key": "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
   "signature": "d37b6f110f3102cf3a5c98cbc5c1cd69aa0a2efe2c01cf52f5e1ed85d0a37925ada1d9f3df9e96b2c13e4505b673fa5aa33b1dea241e148c778b9955c2984c0a"
  }
 ],
 "version": 1
}
